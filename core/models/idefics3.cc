// Idefics3 and SmolVLM: Llama, and a SigLIP tower of learned positions whose connector joins scale x scale patches of a
// tile (pixel shuffle). Images come as tiles. Source: transformers 5.23, models/idefics3 and models/smolvlm.
#include <array>

#include "core/models/config_fields.h"
#include "core/models/family.h"
#include "core/models/vision_language.h"

namespace gwq {
namespace {

constexpr int64_t kMaxImage = 1 << 14;

void ReadIdefics3(ConfigReader& json, ConfigReader& text, ModelConfig& config) {
  ReadInnerLanguageModel(json, text, config);
  config.tied_head = false;  // what text_config says of it does not count here
  ReadVisionLanguage(json, "image_token_id", config);
  VisionConfig& vision = config.vision.emplace();
  auto fields = json.Object("vision_config");
  if (!fields) return json.Invalid("vision_config", "is missing");
  vision.hidden_size = fields->IntOr("hidden_size", 1152, 1, kMaxHidden);
  vision.intermediate_size = fields->IntOr("intermediate_size", 3072, 1, kMaxIntermediate);
  vision.blocks = static_cast<int>(fields->IntOr("num_hidden_layers", 12, 1, kMaxBlocks));
  vision.attention = ReadTowerAttention(*fields, "num_attention_heads", vision.hidden_size, /*rotary=*/false);
  const int64_t patch = ReadSquare(*fields, "patch_size", 32, kMaxImage);
  const int64_t image = ReadSquare(*fields, "image_size", 224, kMaxImage);
  vision.patch_shape = {fields->IntOr("num_channels", 3, 1, 16), patch, patch};
  vision.patch_floats = vision.patch_shape[0] * patch * patch;
  vision.patch_bias = true;
  vision.position_side = image / patch;
  vision.resampled_positions = true;
  if (vision.position_side < 1) fields->Invalid("image_size", "is smaller than a patch");
  vision.norm_epsilon = static_cast<float>(fields->NumberOr("layer_norm_eps", 1e-6, 0, 1));
  vision.activation = ReadActivation(*fields, "hidden_act", "gelu_pytorch_tanh");
  vision.merge = json.IntOr("scale_factor", 2, 1, 64);
  vision.projector_bias = false;
  json.Keep(fields->status());
}

absl::StatusOr<std::unique_ptr<Model>> CreateIdefics3(const ModelConfig& config, const HasTensor& /*stored*/) {
  VitNames names;
  names.patch = "model.vision_model.embeddings.patch_embedding";
  names.position = "model.vision_model.embeddings.position_embedding";
  names.block = "model.vision_model.encoder.layers.{}.";
  names.norm1 = "layer_norm1";
  names.q = "self_attn.q_proj";
  names.k = "self_attn.k_proj";
  names.v = "self_attn.v_proj";
  names.out = "self_attn.out_proj";
  names.norm2 = "layer_norm2";
  names.up = "mlp.fc1";
  names.down = "mlp.fc2";
  names.post_norm = "model.vision_model.post_layernorm";
  names.project = "model.connector.modality_projection.proj";
  return MakeVisionLanguageModel(config, {"model.text_model.", "lm_head.weight"}, names);
}

}  // namespace

const Family kIdefics3Family = {"Idefics3ForConditionalGeneration", ReadIdefics3, CreateIdefics3};
const Family kSmolVlmFamily = {"SmolVLMForConditionalGeneration", ReadIdefics3, CreateIdefics3};

}  // namespace gwq
