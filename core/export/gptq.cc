// "gptq": the layout of AutoGPTQ as GPTQModel reads it, checkpoint format gptq_v2: zero points are stored as they are
// (version 1 stores them less one, which 0 does not survive). A module of `out` x `in` weights has
// - qweight I32 [in * bits / 32, out]: codes packed down the inputs
// - qzeros  I32 [groups, out * bits / 32]: zero points packed along the outputs
// - scales  F16 [groups, out]
// - g_idx   I32 [in]: the group of each input
#include <fmt/format.h>

#include <array>
#include <map>
#include <utility>

#include "core/base/status.h"
#include "core/export/foreign_model.h"
#include "core/export/formats.h"
#include "core/export/module_plan.h"
#include "core/export/packed_words.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using nlohmann::json;

constexpr std::array kWidths = {2, 3, 4, 8};
// What the kernels of GPTQModel 7.7 take (nn_modules/qlinear, torch and torch_cpu_avx512).
constexpr IntegerLimits kLimits{.widths = kWidths, .smallest_group = 16, .largest_group = 1024, .multiple = 32};

// A module in the layout, filled output by output: the whole of it, at most a byte a weight and 3 bytes a group.
class GptqModule {
 public:
  explicit GptqModule(const IntegerShape& shape)
      : shape_(shape), words_(static_cast<size_t>(PackedWords(shape.cols, shape.bits))) {
    codes_.resize(words_.size() * static_cast<size_t>(shape.rows));
    scales_.resize(static_cast<size_t>(shape.groups() * shape.rows));
    zeros_.resize(scales_.size());
  }

  void Add(int64_t output, const IntegerRow& row) {
    PackWords(row.codes, shape_.bits, words_);
    for (size_t w = 0; w < words_.size(); ++w) codes_[At(w, output)] = words_[w];
    for (size_t g = 0; g < row.scales.size(); ++g) {
      scales_[At(g, output)] = row.scales[g];
      zeros_[At(g, output)] = row.zeros[g];
    }
  }

  absl::Status Finish(const std::string& module, ForeignModel& out) {
    const auto words = static_cast<int64_t>(words_.size());
    GWQ_RETURN_IF_ERROR(
        out.Add(module + ".qweight", DType::kI32, {words, shape_.rows}, std::as_bytes(std::span(codes_))));
    GWQ_RETURN_IF_ERROR(
        out.Add(module + ".scales", DType::kF16, {shape_.groups(), shape_.rows}, std::as_bytes(std::span(scales_))));
    const int64_t zero_words = PackedWords(shape_.rows, shape_.bits);
    std::vector<uint32_t> packed(static_cast<size_t>(shape_.groups() * zero_words));
    for (int64_t g = 0; g < shape_.groups(); ++g) {
      PackWords(std::span(zeros_).subspan(At(static_cast<size_t>(g), 0), static_cast<size_t>(shape_.rows)), shape_.bits,
                std::span(packed).subspan(static_cast<size_t>(g * zero_words), static_cast<size_t>(zero_words)));
    }
    GWQ_RETURN_IF_ERROR(
        out.Add(module + ".qzeros", DType::kI32, {shape_.groups(), zero_words}, std::as_bytes(std::span(packed))));
    std::vector<int32_t> group_of(static_cast<size_t>(shape_.cols));
    for (size_t i = 0; i < group_of.size(); ++i) {
      group_of[i] = static_cast<int32_t>(i / static_cast<size_t>(shape_.group_size));
    }
    return out.Add(module + ".g_idx", DType::kI32, {shape_.cols}, std::as_bytes(std::span(group_of)));
  }

 private:
  [[nodiscard]] size_t At(size_t row, int64_t output) const {
    return row * static_cast<size_t>(shape_.rows) + static_cast<size_t>(output);
  }

  const IntegerShape shape_;
  std::vector<uint32_t> words_;  // of an output
  std::vector<uint32_t> codes_;
  std::vector<uint16_t> scales_;
  std::vector<uint8_t> zeros_;
};

absl::Status WriteIntegers(ExportRun& run, const std::string& name, const IntegerShape& shape, ForeignModel& out) {
  GWQ_ASSIGN_OR_RETURN(const PackedTensor tensor, run.OpenMatrix(name));
  GptqModule module(shape);
  ExportedMatrix& matrix = run.report.matrices.emplace_back(name, IntegersText(shape));
  GWQ_RETURN_IF_ERROR(ForEachIntegerRow(tensor, shape, matrix.loss, [&](int64_t output, const IntegerRow& row) {
    module.Add(output, row);
    return absl::OkStatus();
  }));
  return module.Finish(ModuleName(name), out);
}

using Kind = std::pair<int, int64_t>;  // bits and group size

Kind MostFrequent(const std::map<std::string, IntegerShape>& plan) {
  std::map<Kind, int> counts;
  for (const auto& [name, shape] : plan) ++counts[{shape.bits, shape.group_size}];
  Kind best;
  int most = 0;
  for (const auto& [kind, count] : counts) {
    if (count <= most) continue;
    most = count;
    best = kind;
  }
  return best;
}

// A regular expression for one module alone.
std::string PatternOf(std::string_view module) {
  std::string out = "^";
  for (const char c : module) {
    if (c == '.') out += '\\';
    out += c;
  }
  out += '$';
  return out;
}

// The kind of most modules is the default. GPTQModel reads "dynamic", which has a pattern for each of the others: "+:"
// for another kind, "-:" for a module that is not quantized. The reader of transformers, optimum, knows one kind alone;
// it reads "modules_in_block_to_quantize", the names of the modules that are quantized.
json QuantizationConfig(const ExportRun& run, const std::map<std::string, IntegerShape>& plan) {
  const auto [bits, group_size] = MostFrequent(plan);
  json dynamic = json::object();
  json modules = json::array();
  for (const TensorSpec& spec : run.source.model()->tensors()) {
    if (spec.kind != TensorKind::kLinear) continue;
    const std::string pattern = PatternOf(ModuleName(spec.name));
    const auto planned = plan.find(spec.name);
    if (planned != plan.end()) modules.push_back(ModuleName(spec.name));
    if (planned == plan.end()) {
      dynamic[fmt::format("-:{}", pattern)] = json::object();
    } else if (planned->second.bits != bits || planned->second.group_size != group_size) {
      dynamic[fmt::format("+:{}", pattern)] = {{"bits", planned->second.bits},
                                               {"group_size", planned->second.group_size}};
    }
  }
  json config = {{"quant_method", "gptq"}, {"checkpoint_format", "gptq_v2"},
                 {"bits", bits},           {"group_size", group_size},
                 {"sym", false},           {"desc_act", false},
                 {"lm_head", false},       {"pack_dtype", "int32"}};
  if (!dynamic.empty()) {
    config["dynamic"] = std::move(dynamic);
    config["modules_in_block_to_quantize"] = json::array({std::move(modules)});
  }
  return config;
}

}  // namespace

absl::StatusOr<Digest> WriteGptq(ExportRun& run) {
  return WriteIntegerModel(run, {kLimits, WriteIntegers, QuantizationConfig, "quantize_config.json"});
}

}  // namespace gwq
