// "compressed-tensors": pack-quantized integers as the package compressed-tensors 0.20 reads them
// (compressors/pack_quantized). A module has
// - weight_packed   I32 [rows, words]: codes of a row without gaps, 32 to `bits` words
// - weight_scale    F16 [rows, groups]
// - weight_zero_point I32 [words, groups]: zero points packed down the rows
// - weight_shape    I64 [2]
// 3 bits are stored as 4: versions before 0.18 pack them 10 to a word, later ones without gaps.
// The package keeps integers signed and adds 2^(bits - 1) before it packs them: what is packed are our codes.
#include <array>
#include <map>
#include <utility>

#include "core/base/status.h"
#include "core/export/foreign_model.h"
#include "core/export/formats.h"
#include "core/export/half_tensor.h"
#include "core/export/module_plan.h"
#include "core/export/packed_words.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using nlohmann::json;

constexpr std::array kWidths = {2, 4, 8};
constexpr IntegerLimits kLimits{.widths = kWidths, .smallest_group = 8};

// Codes go to their blob row by row; zero points and scales are small.
class ModuleWriter {
 public:
  ModuleWriter(const IntegerShape& shape, std::unique_ptr<BlobWriter> codes)
      : shape_(shape), codes_(std::move(codes)), words_(static_cast<size_t>(PackedWords(shape.cols, shape.bits))) {
    zeros_.reserve(static_cast<size_t>(shape.rows * shape.groups()));
    scales_.reserve(zeros_.capacity());
  }

  absl::Status Add(const IntegerRow& row) {
    PackWords(row.codes, shape_.bits, words_);
    zeros_.insert(zeros_.end(), row.zeros.begin(), row.zeros.end());
    scales_.insert(scales_.end(), row.scales.begin(), row.scales.end());
    part_.insert(part_.end(), words_.begin(), words_.end());
    return part_.size() * sizeof(uint32_t) < kExportPart ? absl::OkStatus() : Flush();
  }

  absl::Status Finish(const std::string& module, ForeignModel& out) {
    GWQ_RETURN_IF_ERROR(Flush());
    GWQ_ASSIGN_OR_RETURN(const Digest codes, codes_->Commit());
    const auto words = static_cast<int64_t>(words_.size());
    GWQ_RETURN_IF_ERROR(out.AddBlob(module + ".weight_packed", DType::kI32, {shape_.rows, words}, codes));
    const std::array<int64_t, 2> extents = {shape_.rows, shape_.cols};
    GWQ_RETURN_IF_ERROR(out.Add(module + ".weight_shape", DType::kI64, {2}, std::as_bytes(std::span(extents))));
    GWQ_RETURN_IF_ERROR(out.Add(module + ".weight_scale", DType::kF16, {shape_.rows, shape_.groups()},
                                std::as_bytes(std::span(scales_))));
    const std::vector<uint32_t> zeros = PackColumns(zeros_, shape_.groups(), shape_.bits);
    return out.Add(module + ".weight_zero_point", DType::kI32, {PackedWords(shape_.rows, shape_.bits), shape_.groups()},
                   std::as_bytes(std::span(zeros)));
  }

 private:
  absl::Status Flush() {
    GWQ_RETURN_IF_ERROR(codes_->Append(std::as_bytes(std::span(part_))));
    part_.clear();
    return absl::OkStatus();
  }

  const IntegerShape shape_;
  std::unique_ptr<BlobWriter> codes_;
  std::vector<uint32_t> words_;  // of a row
  std::vector<uint32_t> part_;
  std::vector<uint8_t> zeros_;
  std::vector<uint16_t> scales_;
};

absl::Status WriteIntegers(ExportRun& run, const std::string& name, const IntegerShape& shape, ForeignModel& out) {
  GWQ_ASSIGN_OR_RETURN(const PackedTensor tensor, run.OpenMatrix(name));
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<BlobWriter> blob, run.store.BeginUnnamed());
  ModuleWriter writer(shape, std::move(blob));
  ExportedMatrix& matrix = run.report.matrices.emplace_back(name, IntegersText(shape));
  GWQ_RETURN_IF_ERROR(
      ForEachIntegerRow(tensor, shape, matrix.loss, [&](int64_t, const IntegerRow& row) { return writer.Add(row); }));
  return writer.Finish(ModuleName(name), out);
}

// A group of the configuration for each width and group size, with its modules.
json ConfigGroups(const std::map<std::string, IntegerShape>& plan) {
  std::map<std::pair<int, int64_t>, json> modules;
  for (const auto& [name, shape] : plan) modules[{shape.bits, shape.group_size}].push_back(ModuleName(name));
  json groups = json::object();
  for (auto& [kind, targets] : modules) {
    json weights = {{"num_bits", kind.first},    {"type", "int"},   {"symmetric", false}, {"strategy", "group"},
                    {"group_size", kind.second}, {"dynamic", false}};
    groups["group_" + std::to_string(groups.size())] = {{"targets", std::move(targets)},
                                                        {"weights", std::move(weights)},
                                                        {"input_activations", nullptr},
                                                        {"output_activations", nullptr},
                                                        {"format", "pack-quantized"}};
  }
  return groups;
}

json QuantizationConfig(const ExportRun& run, const std::map<std::string, IntegerShape>& plan) {
  json ignored = json::array();
  for (const TensorSpec& spec : run.source.model()->tensors()) {
    const bool matrix = spec.kind == TensorKind::kLinear || spec.kind == TensorKind::kHead;
    if (matrix && !plan.contains(spec.name)) ignored.push_back(ModuleName(spec.name));
  }
  // A tied head is a module too, without a tensor of its own.
  if (run.source.model()->config().tied_head) ignored.push_back("lm_head");
  json config = {{"quant_method", "compressed-tensors"},
                 {"format", "pack-quantized"},
                 {"quantization_status", "compressed"},
                 {"config_groups", ConfigGroups(plan)},
                 {"ignore", std::move(ignored)},
                 {"global_compression_ratio", nullptr},
                 {"kv_cache_scheme", nullptr}};
  // For transformers. Without it, it decompresses at the first pass instead, and the package's version 0.20.1
  // then expects zero points that are not packed. With it, transformers reads every module by the first group.
  if (config["config_groups"].size() == 1) config["dequantize"] = true;
  return config;
}

}  // namespace

absl::StatusOr<Digest> WriteCompressedTensors(ExportRun& run) {
  return WriteIntegerModel(run, {kLimits, WriteIntegers, QuantizationConfig, ""});
}

}  // namespace gwq
