#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <ranges>

#include "core/artifact/gguf_layout.h"
#include "core/artifact/metadata_reader.h"
#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using nlohmann::json;

struct GgufFamily {
  std::string_view gguf;
  std::string_view architecture;
  std::string_view model_type;
};

constexpr std::array<GgufFamily, 2> kFamilies = {
    {{"llama", "LlamaForCausalLM", "llama"}, {"qwen2", "Qwen2ForCausalLM", "qwen2"}}};

constexpr int64_t kMaxExtent = int64_t{1} << 30;

absl::StatusOr<GgufFamily> FamilyOf(const MetadataReader& metadata) {
  GWQ_ASSIGN_OR_RETURN(const std::string name, metadata.StringOr("general.architecture", ""));
  const auto found = std::ranges::find(kFamilies, name, &GgufFamily::gguf);
  if (found != kFamilies.end()) return *found;
  return MetadataReader::Wrong("general.architecture",
                               fmt::format("'{}' is not known; 'llama' and 'qwen2' are", name.substr(0, 64)));
}

bool HasTensor(const GgufHeader& header, std::string_view name) {
  return std::ranges::find(header.tensors, name, &GgufTensor::name) != header.tensors.end();
}

// The shortest decimal that gives the same float: 1e-05 and not 9.999999747378752e-06.
double ShortestOf(double value) { return std::stod(fmt::format("{}", static_cast<float>(value))); }

// Llama 3.1 and later store the factors that their rotary frequencies are divided by. The scaling has four numbers; all
// published models share the last three, and the first is the largest factor.
absl::StatusOr<json> Llama3Scaling(std::span<const float> factors, double theta) {
  constexpr double kLow = 1, kHigh = 4, kOriginal = 8192;
  const double largest = *std::ranges::max_element(factors);
  for (size_t i = 0; i < factors.size(); ++i) {
    const double exponent = static_cast<double>(i) / static_cast<double>(factors.size());
    const double wavelength = 2 * std::numbers::pi * std::pow(theta, exponent);
    const double smooth = std::clamp((kOriginal / wavelength - kLow) / (kHigh - kLow), 0.0, 1.0);
    const double expected = 1 / ((1 - smooth) / largest + smooth);
    if (!(std::abs(factors[i] - expected) <= 1e-3 * expected)) {
      return InvalidField("tensors[rope_freqs.weight]",
                          fmt::format("factor {} is {}, Llama 3's scaling by {} makes it {}: other scalings are not "
                                      "supported",
                                      i, factors[i], largest, expected));
    }
  }
  return json{{"rope_type", "llama3"},
              {"factor", largest},
              {"low_freq_factor", kLow},
              {"high_freq_factor", kHigh},
              {"original_max_position_embeddings", static_cast<int64_t>(kOriginal)}};
}

absl::StatusOr<json> MetadataScaling(const MetadataReader& metadata, const std::string& prefix) {
  GWQ_ASSIGN_OR_RETURN(const std::string type, metadata.StringOr(prefix + "rope.scaling.type", "none"));
  if (type == "none") return json();
  if (type != "linear" && type != "yarn") {
    return MetadataReader::Wrong(prefix + "rope.scaling.type",
                                 fmt::format("'{}' is not supported; none, linear and yarn are", type.substr(0, 64)));
  }
  GWQ_ASSIGN_OR_RETURN(const std::optional<double> factor, metadata.OptionalDouble(prefix + "rope.scaling.factor"));
  if (!factor.has_value()) return MetadataReader::Wrong(prefix + "rope.scaling.factor", "missing");
  json scaling = {{"rope_type", type}, {"factor", ShortestOf(*factor)}};
  GWQ_ASSIGN_OR_RETURN(const std::optional<int64_t> original,
                       metadata.OptionalInt(prefix + "rope.scaling.original_context_length"));
  if (original.has_value()) scaling["original_max_position_embeddings"] = *original;
  return scaling;
}

absl::Status ReadAttention(const MetadataReader& metadata, const std::string& prefix, json& config) {
  GWQ_ASSIGN_OR_RETURN(const int64_t hidden, metadata.Int(prefix + "embedding_length", 1, kMaxExtent));
  GWQ_ASSIGN_OR_RETURN(const int64_t heads, metadata.Int(prefix + "attention.head_count", 1, kMaxExtent));
  GWQ_ASSIGN_OR_RETURN(const std::optional<int64_t> kv_heads, metadata.OptionalInt(prefix + "attention.head_count_kv"));
  GWQ_ASSIGN_OR_RETURN(const std::optional<int64_t> key_length, metadata.OptionalInt(prefix + "attention.key_length"));
  GWQ_ASSIGN_OR_RETURN(const std::optional<int64_t> rotary, metadata.OptionalInt(prefix + "rope.dimension_count"));
  const int64_t head_dim = key_length.value_or(hidden / heads);
  if (rotary.value_or(head_dim) != head_dim) {
    return MetadataReader::Wrong(
        prefix + "rope.dimension_count",
        fmt::format("{}; only a rotary embedding over the whole head of {} is supported", *rotary, head_dim));
  }
  if (kv_heads.value_or(heads) < 1) return MetadataReader::Wrong(prefix + "attention.head_count_kv", "below 1");
  config["hidden_size"] = hidden;
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = kv_heads.value_or(heads);
  config["head_dim"] = head_dim;
  return absl::OkStatus();
}

absl::Status ReadRope(const MetadataReader& metadata, const std::string& prefix, std::span<const float> factors,
                      json& config) {
  GWQ_ASSIGN_OR_RETURN(const std::optional<double> theta, metadata.OptionalDouble(prefix + "rope.freq_base"));
  config["rope_theta"] = ShortestOf(theta.value_or(10000));
  GWQ_ASSIGN_OR_RETURN(json scaling, MetadataScaling(metadata, prefix));
  if (!factors.empty()) {
    if (!scaling.is_null()) {
      return MetadataReader::Wrong(prefix + "rope.scaling.type", "cannot be combined with rope_freqs.weight");
    }
    if (static_cast<int64_t>(factors.size()) * 2 != config["head_dim"].get<int64_t>()) {
      return InvalidField("tensors[rope_freqs.weight].shape",
                          fmt::format("{} factors for heads of {}", factors.size(), config["head_dim"].dump()));
    }
    GWQ_ASSIGN_OR_RETURN(scaling, Llama3Scaling(factors, theta.value_or(10000)));
  }
  if (!scaling.is_null()) config["rope_scaling"] = std::move(scaling);
  return absl::OkStatus();
}

absl::Status ReadSizes(const GgufHeader& header, const MetadataReader& metadata, const std::string& prefix,
                       json& config) {
  GWQ_ASSIGN_OR_RETURN(config["num_hidden_layers"], metadata.Int(prefix + "block_count", 1, 1024));
  GWQ_ASSIGN_OR_RETURN(config["intermediate_size"], metadata.Int(prefix + "feed_forward_length", 1, kMaxExtent));
  GWQ_ASSIGN_OR_RETURN(config["max_position_embeddings"], metadata.Int(prefix + "context_length", 1, kMaxExtent));
  const std::string epsilon_key = prefix + "attention.layer_norm_rms_epsilon";
  GWQ_ASSIGN_OR_RETURN(const std::optional<double> epsilon, metadata.OptionalDouble(epsilon_key));
  if (!epsilon.has_value()) return MetadataReader::Wrong(epsilon_key, "missing");
  config["rms_norm_eps"] = ShortestOf(*epsilon);
  GWQ_ASSIGN_OR_RETURN(const std::optional<int64_t> experts, metadata.OptionalInt(prefix + "expert_count"));
  if (experts.value_or(0) != 0) {
    return MetadataReader::Wrong(prefix + "expert_count", fmt::format("{}: experts are not supported", *experts));
  }
  const auto table = std::ranges::find(header.tensors, "token_embd.weight", &GgufTensor::name);
  if (table == header.tensors.end()) return InvalidField("tensors[token_embd.weight]", "missing");
  config["vocab_size"] = table->shape.front();
  return absl::OkStatus();
}

absl::Status ReadTokens(const MetadataReader& metadata, json& config) {
  for (const std::string_view name : {"bos_token_id", "eos_token_id"}) {
    GWQ_ASSIGN_OR_RETURN(const std::optional<int64_t> id, metadata.OptionalInt(fmt::format("tokenizer.ggml.{}", name)));
    if (id.has_value()) config[std::string(name)] = *id;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> GgufConfigJson(const GgufHeader& header, std::span<const float> rope_factors) {
  const MetadataReader metadata(header);
  GWQ_ASSIGN_OR_RETURN(const GgufFamily family, FamilyOf(metadata));
  const std::string prefix = fmt::format("{}.", family.gguf);
  json config = {{"architectures", {family.architecture}},
                 {"model_type", family.model_type},
                 {"hidden_act", "silu"},
                 {"torch_dtype", "float16"},
                 {"tie_word_embeddings", !HasTensor(header, "output.weight")},
                 {"use_cache", true}};
  if (family.gguf == "llama") {
    config["attention_bias"] = HasTensor(header, "blk.0.attn_q.bias");
    config["mlp_bias"] = HasTensor(header, "blk.0.ffn_gate.bias");
  }
  GWQ_RETURN_IF_ERROR(ReadSizes(header, metadata, prefix, config));
  GWQ_RETURN_IF_ERROR(ReadAttention(metadata, prefix, config));
  GWQ_RETURN_IF_ERROR(ReadRope(metadata, prefix, rope_factors, config));
  GWQ_RETURN_IF_ERROR(ReadTokens(metadata, config));
  return CanonicalJson(config);
}

}  // namespace gwq
