#include "core/artifact/gguf_model_keys.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using nlohmann::json;

// Settings of yarn that llama.cpp takes from its command line or derives in its own way.
constexpr std::array<const char*, 6> kYarnExtras = {"attention_factor", "beta_fast",      "beta_slow",
                                                    "mscale",           "mscale_all_dim", "truncate"};

std::string ArchitectureOf(const ModelConfig& config) {
  if (config.architecture == "LlamaForCausalLM") return "llama";
  return config.architecture == "Qwen2ForCausalLM" ? "qwen2" : "";
}

// null counts as absent, as in the reader of configurations.
double NumberOr(const json& object, const char* key, double missing) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : missing;
}
std::string TextOr(const json& object, const char* key, std::string_view missing) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string(missing);
}

// transformers 5 writes rope_parameters, version 4 rope_theta and rope_scaling. Both were checked when the model was
// opened.
struct RopeSettings {
  std::string field;
  json scaling;
  std::string type = "default";
  double theta = 10000;
};

RopeSettings ReadRopeSettings(const json& config) {
  RopeSettings out;
  out.field = config.contains("rope_parameters") ? "rope_parameters" : "rope_scaling";
  out.scaling = config.value(out.field, json());
  if (!out.scaling.is_object()) out.scaling = json::object();
  out.theta = NumberOr(out.scaling, "rope_theta", NumberOr(config, "rope_theta", out.theta));
  out.type = TextOr(out.scaling, "rope_type", TextOr(out.scaling, "type", out.type));
  return out;
}

// What each frequency was divided by.
std::vector<float> FactorsOf(const ModelConfig& config, double theta) {
  const std::vector<float>& scaled = config.rope.inverse_frequencies;
  std::vector<float> factors;
  for (size_t i = 0; i < scaled.size(); ++i) {
    const double plain = std::pow(theta, -static_cast<double>(i) / static_cast<double>(scaled.size()));
    factors.push_back(static_cast<float>(plain / scaled[i]));
  }
  return factors;
}

absl::Status AddRope(const json& config_json, const ModelConfig& config, const std::string& prefix, GgufModelKeys& keys,
                     GgufWriter& out) {
  const RopeSettings rope = ReadRopeSettings(config_json);
  out.F32(prefix + "rope.freq_base", static_cast<float>(rope.theta));
  out.U32(prefix + "rope.dimension_count", static_cast<uint32_t>(config.attention.head_dim));
  if (rope.type == "llama3") keys.rope_factors = FactorsOf(config, rope.theta);
  if (rope.type != "linear" && rope.type != "yarn") return absl::OkStatus();
  if (rope.type == "yarn") {
    for (const char* key : kYarnExtras) {
      if (!rope.scaling.contains(key) || rope.scaling[key].is_null()) continue;
      return InvalidField(fmt::format("config.{}.{}", rope.field, key),
                          "has no key in a GGUF file; use another format of export");
    }
    const double original =
        NumberOr(rope.scaling, "original_max_position_embeddings", static_cast<double>(config.max_positions));
    out.U32(prefix + "rope.scaling.original_context_length", static_cast<uint32_t>(original));
  }
  out.Text(prefix + "rope.scaling.type", rope.type);
  out.F32(prefix + "rope.scaling.factor", static_cast<float>(NumberOr(rope.scaling, "factor", 1)));
  return absl::OkStatus();
}

void AddSizes(const ModelConfig& config, const std::string& prefix, GgufWriter& out) {
  const auto add = [&](const char* key, int64_t value) { out.U32(prefix + key, static_cast<uint32_t>(value)); };
  add("vocab_size", config.vocab_size);
  add("context_length", config.max_positions);
  add("embedding_length", config.hidden_size);
  add("block_count", config.blocks);
  add("feed_forward_length", config.intermediate_size);
  add("attention.head_count", config.attention.heads);
  add("attention.head_count_kv", config.attention.kv_heads);
  add("attention.key_length", config.attention.head_dim);
  add("attention.value_length", config.attention.head_dim);
  out.F32(prefix + "attention.layer_norm_rms_epsilon", config.norm_epsilon);
}

}  // namespace

absl::StatusOr<GgufModelKeys> AddGgufModelKeys(std::string_view config_json, const ModelConfig& config,
                                               GgufWriter& out) {
  GgufModelKeys keys;
  keys.architecture = ArchitectureOf(config);
  if (keys.architecture.empty()) {
    return InvalidField("format", fmt::format("gguf is written for LlamaForCausalLM and Qwen2ForCausalLM, not for {}; "
                                              "use hf-fp16",
                                              config.architecture));
  }
  GWQ_ASSIGN_OR_RETURN(const json parsed, ParseJson("config.json", config_json));
  out.Text("general.architecture", keys.architecture);
  out.U32("general.quantization_version", 2);
  const std::string prefix = keys.architecture + ".";
  AddSizes(config, prefix, out);
  GWQ_RETURN_IF_ERROR(AddRope(parsed, config, prefix, keys, out));
  if (keys.architecture == "llama") {
    keys.query_heads = config.attention.heads;
    keys.key_heads = config.attention.kv_heads;
  }
  return keys;
}

void AddGgufTokenizerKeys(const GgufTokenizer& tokenizer, GgufWriter& out) {
  const auto id = [&](const char* name, const std::optional<int64_t>& value) {
    if (value) out.U32(fmt::format("tokenizer.ggml.{}", name), static_cast<uint32_t>(*value));
  };
  const auto flag = [&](const char* name, const std::optional<bool>& value) {
    if (value) out.Bool(fmt::format("tokenizer.ggml.{}", name), *value);
  };
  out.Text("tokenizer.ggml.model", tokenizer.model);
  out.Text("tokenizer.ggml.pre", tokenizer.pre);
  out.Texts("tokenizer.ggml.tokens", tokenizer.tokens);
  out.Ints("tokenizer.ggml.token_type", tokenizer.token_types);
  if (!tokenizer.scores.empty()) out.Floats("tokenizer.ggml.scores", tokenizer.scores);
  if (!tokenizer.merges.empty()) out.Texts("tokenizer.ggml.merges", tokenizer.merges);
  id("bos_token_id", tokenizer.bos_id);
  id("eos_token_id", tokenizer.eos_id);
  id("eot_token_id", tokenizer.eot_id);
  id("unknown_token_id", tokenizer.unk_id);
  id("padding_token_id", tokenizer.pad_id);
  flag("add_bos_token", tokenizer.add_bos);
  flag("add_eos_token", tokenizer.add_eos);
  flag("add_space_prefix", tokenizer.add_space_prefix);
  if (!tokenizer.chat_template.empty()) out.Text("tokenizer.chat_template", tokenizer.chat_template);
}

}  // namespace gwq
