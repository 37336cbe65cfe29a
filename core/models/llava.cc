// LLaVA 1.5: Llama, a CLIP tower of which the last block is left out, and a projector of two layers over every patch.
// Source: transformers 5.23, models/llava and models/clip.
#include <fmt/format.h>

#include <array>

#include "core/models/config_fields.h"
#include "core/models/family.h"
#include "core/models/vision_language.h"

namespace gwq {
namespace {

// LlamaConfig's, which published files leave out.
constexpr std::string_view kTextDefaults =
    R"({"vocab_size": 32000, "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32,
        "num_attention_heads": 32, "max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2})";
constexpr int64_t kMaxImage = 1 << 14;

// Blocks whose output is the feature: layer -1 is the last block's, 0 what goes into the first.
int BlocksToFeature(ConfigReader& json, int layers) {
  const std::vector<int64_t> chosen = json.Ints("vision_feature_layer", -kMaxBlocks, kMaxBlocks);
  if (chosen.size() > 1) {
    json.Unsupported("vision_feature_layer", "features of several layers side by side are not supported");
    return layers;
  }
  const int64_t layer = chosen.empty() ? -2 : chosen[0];
  const int64_t blocks = layer < 0 ? layers + 1 + layer : layer;
  if (blocks < 0 || blocks > layers) {
    json.Invalid("vision_feature_layer", fmt::format("is {}, the tower has {} layers", layer, layers));
    return layers;
  }
  return static_cast<int>(blocks);
}

void ReadTower(ConfigReader& json, ConfigReader& fields, VisionConfig& vision) {
  if (const std::string type = fields.StringOr("model_type", "clip_vision_model"); type != "clip_vision_model") {
    fields.Unsupported("model_type",
                       fmt::format("a tower '{}' is not supported; known is clip_vision_model", type.substr(0, 40)));
  }
  vision.hidden_size = fields.IntOr("hidden_size", 768, 1, kMaxHidden);
  vision.intermediate_size = fields.IntOr("intermediate_size", 3072, 1, kMaxIntermediate);
  vision.blocks = BlocksToFeature(json, static_cast<int>(fields.IntOr("num_hidden_layers", 12, 1, kMaxBlocks)));
  vision.attention = ReadTowerAttention(fields, "num_attention_heads", vision.hidden_size, /*rotary=*/false);
  const int64_t patch = ReadSquare(fields, "patch_size", 32, kMaxImage);
  vision.patch_shape = {fields.IntOr("num_channels", 3, 1, 16), patch, patch};
  vision.patch_floats = vision.patch_shape[0] * patch * patch;
  vision.position_side = ReadSquare(fields, "image_size", 224, kMaxImage) / patch;
  if (vision.position_side < 1) fields.Invalid("image_size", "is smaller than a patch");
  vision.class_token = true;
  vision.norm_epsilon = static_cast<float>(fields.NumberOr("layer_norm_eps", 1e-5, 0, 1));
  vision.activation = ReadActivation(fields, "hidden_act", "quick_gelu");
}

void ReadLlava(ConfigReader& json, ConfigReader& text, ModelConfig& config) {
  ReadInnerLanguageModel(json, text, config);
  ReadVisionLanguage(json, json.Has("image_token_id") ? "image_token_id" : "image_token_index", config);
  VisionConfig& vision = config.vision.emplace();
  auto fields = json.Object("vision_config");
  if (!fields) return json.Invalid("vision_config", "is missing");
  ReadTower(json, *fields, vision);
  if (const std::string strategy = json.StringOr("vision_feature_select_strategy", "default"); strategy != "default") {
    json.Unsupported("vision_feature_select_strategy",
                     fmt::format("'{}' is not supported; known is default", strategy.substr(0, 40)));
  }
  vision.projector_width = config.hidden_size;
  vision.projector_activation = ReadActivation(json, "projector_hidden_act", "gelu");
  vision.projector_bias = json.BoolOr("multimodal_projector_bias", true);
  json.Keep(fields->status());
}

// First as transformers 5 writes them; then as 4 published the models; then as versions between wrote them.
absl::StatusOr<std::unique_ptr<Model>> CreateLlava(const ModelConfig& config, const HasTensor& stored) {
  constexpr std::array<Naming, 2> kDecoder = {
      {{"language_model.model.", "embed_tokens.weight"}, {"model.language_model.", "embed_tokens.weight"}}};
  constexpr std::array<Naming, 2> kHead = {{{"language_model.", "lm_head.weight"}, {"", "lm_head.weight"}}};
  constexpr std::string_view kPatch = "embeddings.patch_embedding.weight";
  constexpr std::array<Naming, 4> kTower = {{{"vision_tower.", kPatch},
                                             {"vision_tower.vision_model.", kPatch},
                                             {"model.vision_tower.vision_model.", kPatch},
                                             {"model.vision_tower.", kPatch}}};
  constexpr std::array<Naming, 2> kProjector = {
      {{"multi_modal_projector.", "linear_1.weight"}, {"model.multi_modal_projector.", "linear_1.weight"}}};
  const std::string stem = StoredStem(kTower, stored);
  const std::string projector = StoredStem(kProjector, stored);
  VitNames names;
  names.patch = stem + "embeddings.patch_embedding";
  names.position = stem + "embeddings.position_embedding";
  names.class_token = stem + "embeddings.class_embedding";
  names.pre_norm = stem + "pre_layrnorm";
  names.block = stem + "encoder.layers.{}.";
  names.norm1 = "layer_norm1";
  names.q = "self_attn.q_proj";
  names.k = "self_attn.k_proj";
  names.v = "self_attn.v_proj";
  names.out = "self_attn.out_proj";
  names.norm2 = "layer_norm2";
  names.up = "mlp.fc1";
  names.down = "mlp.fc2";
  names.project = projector + "linear_1";
  names.project_out = projector + "linear_2";
  return MakeVisionLanguageModel(config, {StoredStem(kDecoder, stored), StoredStem(kHead, stored) + "lm_head.weight"},
                                 names);
}

}  // namespace

const Family kLlavaFamily = {"LlavaForConditionalGeneration", ReadLlava, CreateLlava, kTextDefaults};

}  // namespace gwq
