#include "core/models/config.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/models/config_fields.h"
#include "core/models/config_reader.h"
#include "core/models/family.h"
#include "core/models/rope.h"

namespace gwq {
namespace {

AttentionShape ReadAttention(ConfigReader& json, int64_t hidden) {
  AttentionShape shape;
  shape.heads = json.Int("num_attention_heads", 1, kMaxHeads);
  shape.kv_heads = json.IntOr("num_key_value_heads", shape.heads, 1, kMaxHeads);
  if (shape.heads % shape.kv_heads != 0) {
    json.Invalid("num_key_value_heads",
                 fmt::format("is {}, must divide num_attention_heads, which is {}", shape.kv_heads, shape.heads));
  }
  if (!json.Has("head_dim") && hidden % shape.heads != 0) {
    json.Invalid("num_attention_heads", fmt::format("is {}, must divide hidden_size, which is {}, where there is no "
                                                    "head_dim",
                                                    shape.heads, hidden));
  }
  shape.head_dim = json.IntOr("head_dim", hidden / shape.heads, 2, kMaxHeadDim);
  if (shape.head_dim < 2 || shape.head_dim > kMaxHeadDim || shape.head_dim % 2 != 0) {
    json.Invalid("head_dim", fmt::format("is {}, must be even and from 2 to {}", shape.head_dim, kMaxHeadDim));
    shape.head_dim = 2;
  }
  shape.scale = 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
  return shape;
}

std::vector<int32_t> ReadEnds(ConfigReader& json, int64_t vocab_size) {
  std::vector<int32_t> ends;
  for (const int64_t id : json.Ints("eos_token_id", 0, std::numeric_limits<int32_t>::max())) {
    if (id >= vocab_size) {
      json.Invalid("eos_token_id", fmt::format("token {} is outside the vocabulary of {} (vocab_size); name the token "
                                               "that ends an answer",
                                               id, vocab_size));
    }
    ends.push_back(static_cast<int32_t>(id));
  }
  return ends;
}

void ReadTokens(ConfigReader& json, ModelConfig& config) {
  config.eos_token_ids = ReadEnds(json, config.vocab_size);
  config.bos_token_id = static_cast<int32_t>(json.IntOr("bos_token_id", -1, 0, kMaxTokenId));
}

void CheckNotQuantized(ConfigReader& json) {
  if (!json.Has("quantization_config")) return;
  json.Unsupported("quantization_config", "the model is quantized already; start from its full-precision original");
}

void ReadCommon(ConfigReader& json, ModelConfig& config) {
  config.vocab_size = json.Int("vocab_size", 1, kMaxVocabulary);
  config.hidden_size = json.Int("hidden_size", 1, kMaxHidden);
  config.intermediate_size = json.Int("intermediate_size", 1, kMaxIntermediate);
  config.blocks = static_cast<int>(json.Int("num_hidden_layers", 1, kMaxBlocks));
  config.attention = ReadAttention(json, config.hidden_size);
  config.norm_epsilon = static_cast<float>(json.NumberOr("rms_norm_eps", 1e-6, 0, 1));
  config.gate = ReadActivation(json, "hidden_act", "silu");
  config.tied_head = json.BoolOr("tie_word_embeddings", false);
  config.max_positions = json.Int("max_position_embeddings", 1, kMaxPositions);
  config.rope = ReadRope(json, config.attention.head_dim, config.max_positions);
  ReadTokens(json, config);
  CheckNotQuantized(json);
}

// The object that holds the language model's fields, completed by the family's defaults.
nlohmann::json TextFields(const nlohmann::json& parsed, const Family& family) {
  const auto nested = parsed.find("text_config");
  nlohmann::json text = nested != parsed.end() && nested->is_object() ? *nested : parsed;
  const nlohmann::json defaults = nlohmann::json::parse(family.text_defaults);
  for (const auto& [name, value] : defaults.items()) {
    if (!text.contains(name) || text[name].is_null()) text[name] = value;
  }
  return text;
}

}  // namespace

absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view config_json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json parsed, ParseJson("config", config_json));
  if (!parsed.is_object()) return InvalidField("config", "config.json is not a JSON object");
  ConfigReader json(parsed, "config");
  const std::vector<std::string> architectures = json.Strings("architectures");
  (void)json.Object("text_config");  // what is no object there would be passed over
  GWQ_RETURN_IF_ERROR(json.status());
  if (architectures.size() != 1) {
    return InvalidField("config.architectures", fmt::format("has {} entries, must name the one architecture of the "
                                                            "model",
                                                            architectures.size()));
  }
  const Family* family = FindFamily(architectures[0]);
  if (family == nullptr) return UnknownArchitecture(architectures[0]);
  const nlohmann::json fields = TextFields(parsed, *family);
  ConfigReader text(fields, json.Has("text_config") ? "config.text_config" : "config");
  ModelConfig config;
  config.architecture = architectures[0];
  ReadCommon(text, config);
  // Those of the whole go before the language model's where answers end, so they are looked at in any case.
  (void)ReadEnds(json, config.vocab_size);
  if (config.eos_token_ids.empty()) ReadTokens(json, config);
  CheckNotQuantized(json);
  family->read_config(json, text, config);
  GWQ_RETURN_IF_ERROR(text.status());
  GWQ_RETURN_IF_ERROR(json.status());
  return config;
}

}  // namespace gwq
