// Qwen2-VL and Qwen2.5-VL: Qwen2 with positions on three axes, and a tower of rotary positions whose merger joins 2 x 2
// patches. Qwen2.5-VL's tower has RMS norms, a gated MLP and windows. Source: transformers 5.23, models/qwen2_vl and
// models/qwen2_5_vl.
#include <fmt/format.h>

#include <array>

#include "core/models/config_fields.h"
#include "core/models/family.h"
#include "core/models/vision_language.h"

namespace gwq {
namespace {

constexpr std::string_view kTextDefaults = R"({"rope_theta": 1000000.0, "rms_norm_eps": 1e-5})";
constexpr int64_t kMaxPatch = 256;
constexpr int64_t kMaxMerge = 16;

// What transformers 4 called hidden_size in Qwen2-VL's vision_config is the language model's.
void ReadTower(ConfigReader& json, std::string_view hidden_field, VisionConfig& vision) {
  vision.hidden_size = json.Int(hidden_field, 1, kMaxHidden);
  vision.blocks = static_cast<int>(json.Int("depth", 1, kMaxBlocks));
  vision.attention = ReadTowerAttention(json, "num_heads", vision.hidden_size, /*rotary=*/true);
  const int64_t patch = ReadSquare(json, "patch_size", 14, kMaxPatch);
  vision.patch_shape = {json.IntOr("in_channels", 3, 1, 16), ReadSquare(json, "temporal_patch_size", 2, 16), patch,
                        patch};
  vision.patch_floats = vision.patch_shape[0] * vision.patch_shape[1] * patch * patch;
  vision.merge = json.IntOr("spatial_merge_size", 2, 1, kMaxMerge);
  vision.norm_epsilon = 1e-6F;
  vision.projector_width = vision.hidden_size * vision.merge * vision.merge;
  vision.projector_activation = Gate::kGelu;
  if (auto rope = json.Object("rope_parameters")) {
    vision.rope_theta = static_cast<float>(rope->NumberOr("rope_theta", 10000.0, 1.001, 1e12));
    if (const std::string type = rope->StringOr("rope_type", "axial"); type != "axial") {
      rope->Unsupported("rope_type", fmt::format("'{}' is not supported; known is axial", type.substr(0, 40)));
    }
    json.Keep(rope->status());
  }
}

void ReadLanguage(ConfigReader& json, ConfigReader& text, ModelConfig& config) {
  kQwen2Family.read_config(json, text, config);
  ReadVisionLanguage(json, "image_token_id", config);
  config.position_axes = 3;
  if (!config.rope.sections.empty()) return;
  config.rope.sections = {16, 24, 24};
  if (config.rope.inverse_frequencies.size() != 64) {
    text.Invalid("rope_parameters.mrope_section", "is missing; its default is for heads of 128");
  }
}

void CheckOutSize(ConfigReader& vision, std::string_view field, const ModelConfig& config) {
  const int64_t size = vision.Int(field, 1, kMaxHidden);
  if (size == config.hidden_size) return;
  vision.Invalid(field, fmt::format("is {}, the language model's hidden_size is {}", size, config.hidden_size));
}

void ReadQwen2Vl(ConfigReader& json, ConfigReader& text, ModelConfig& config) {
  ReadLanguage(json, text, config);
  VisionConfig& vision = config.vision.emplace();
  auto fields = json.Object("vision_config");
  if (!fields) return json.Invalid("vision_config", "is missing");
  ReadTower(*fields, "embed_dim", vision);
  CheckOutSize(*fields, "hidden_size", config);
  vision.intermediate_size = vision.hidden_size * fields->IntOr("mlp_ratio", 4, 1, 64);
  vision.norm = NormKind::kLayer;
  vision.activation = ReadActivation(*fields, "hidden_act", "quick_gelu");
  json.Keep(fields->status());
}

void ReadQwen25Vl(ConfigReader& json, ConfigReader& text, ModelConfig& config) {
  ReadLanguage(json, text, config);
  VisionConfig& vision = config.vision.emplace();
  auto fields = json.Object("vision_config");
  if (!fields) return json.Invalid("vision_config", "is missing");
  ReadTower(*fields, "hidden_size", vision);
  CheckOutSize(*fields, "out_hidden_size", config);
  vision.intermediate_size = fields->Int("intermediate_size", 1, kMaxIntermediate);
  vision.norm = NormKind::kRms;
  vision.gated = true;
  vision.activation = ReadActivation(*fields, "hidden_act", "silu");
  const int64_t window = fields->IntOr("window_size", 112, 1, int64_t{1} << 20);
  vision.window_tokens = window / vision.merge / vision.patch_shape[3];
  if (vision.window_tokens < 1) fields->Invalid("window_size", fmt::format("is {}, holds no image token", window));
  const std::vector<int64_t> full = fields->Ints("fullatt_block_indexes", 0, kMaxBlocks);
  vision.full_attention_blocks = {full.begin(), full.end()};
  if (!fields->Has("fullatt_block_indexes")) vision.full_attention_blocks = {7, 15, 23, 31};
  json.Keep(fields->status());
}

// First as transformers 4 published the models and 5 writes them; then as versions between wrote them.
absl::StatusOr<std::unique_ptr<Model>> CreateQwen2Vl(const ModelConfig& config, const HasTensor& stored) {
  constexpr std::array<Naming, 2> kDecoder = {
      {{"model.", "embed_tokens.weight"}, {"model.language_model.", "embed_tokens.weight"}}};
  constexpr std::array<Naming, 2> kTower = {
      {{"visual.", "patch_embed.proj.weight"}, {"model.visual.", "patch_embed.proj.weight"}}};
  const std::string stem = StoredStem(kTower, stored);
  VitNames names;
  names.patch = stem + "patch_embed.proj";
  names.block = stem + "blocks.{}.";
  names.norm1 = "norm1";
  names.qkv = "attn.qkv";
  names.out = "attn.proj";
  names.norm2 = "norm2";
  names.gate = "mlp.gate_proj";
  names.up = config.vision->gated ? "mlp.up_proj" : "mlp.fc1";
  names.down = config.vision->gated ? "mlp.down_proj" : "mlp.fc2";
  names.post_norm = stem + "merger.ln_q";
  names.post_norm_part = ModelPart::kProjector;
  names.project = stem + "merger.mlp.0";
  names.project_out = stem + "merger.mlp.2";
  return MakeVisionLanguageModel(config, {StoredStem(kDecoder, stored), "lm_head.weight"}, names);
}

}  // namespace

const Family kQwen2VlFamily = {"Qwen2VLForConditionalGeneration", ReadQwen2Vl, CreateQwen2Vl, kTextDefaults};
const Family kQwen25VlFamily = {"Qwen2_5_VLForConditionalGeneration", ReadQwen25Vl, CreateQwen2Vl, kTextDefaults};

}  // namespace gwq
