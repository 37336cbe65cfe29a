// config.json of vision-language models as published, by transformers 4, and what is refused in them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/models/config.h"
#include "core/models/model.h"

namespace gwq {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kUnimplemented = absl::StatusCode::kUnimplemented;

// Qwen2-VL-2B-Instruct.
json Qwen2Vl() {
  return json::parse(R"({
    "architectures": ["Qwen2VLForConditionalGeneration"], "attention_dropout": 0.0, "bos_token_id": 151643,
    "eos_token_id": 151645, "vision_start_token_id": 151652, "vision_end_token_id": 151653, "vision_token_id": 151654,
    "image_token_id": 151655, "video_token_id": 151656, "hidden_act": "silu", "hidden_size": 1536,
    "intermediate_size": 8960, "max_position_embeddings": 32768, "max_window_layers": 28, "model_type": "qwen2_vl",
    "num_attention_heads": 12, "num_hidden_layers": 28, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
    "use_sliding_window": false, "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]}, "vocab_size": 151936,
    "vision_config": {"depth": 32, "embed_dim": 1280, "mlp_ratio": 4, "num_heads": 16, "in_chans": 3,
                      "hidden_size": 1536, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14,
                      "temporal_patch_size": 2}})");
}

// Qwen2.5-VL-3B-Instruct.
json Qwen25Vl() {
  json config = Qwen2Vl();
  config["architectures"] = {"Qwen2_5_VLForConditionalGeneration"};
  config["hidden_size"] = 2048;
  config["num_attention_heads"] = 16;
  config["vision_config"] = json::parse(R"({
    "depth": 32, "hidden_act": "silu", "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "in_chans": 3,
    "out_hidden_size": 2048, "patch_size": 14, "spatial_merge_size": 2, "spatial_patch_size": 14, "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31], "tokens_per_second": 2, "temporal_patch_size": 2})");
  return config;
}

// SmolVLM-256M-Instruct.
json SmolVlm() {
  return json::parse(R"({
    "architectures": ["Idefics3ForConditionalGeneration"], "image_token_id": 49190, "model_type": "idefics3",
    "scale_factor": 4, "tie_word_embeddings": false, "vocab_size": 49280,
    "text_config": {"hidden_size": 576, "intermediate_size": 1536, "model_type": "llama", "num_attention_heads": 9,
                    "num_hidden_layers": 30, "num_key_value_heads": 3, "rms_norm_eps": 1e-05, "rope_theta": 100000,
                    "max_position_embeddings": 8192, "vocab_size": 49280, "bos_token_id": 0, "eos_token_id": 49279},
    "vision_config": {"hidden_size": 768, "image_size": 512, "intermediate_size": 3072, "max_image_size":
                      {"longest_edge": 512}, "model_type": "idefics3_vision", "num_attention_heads": 12,
                      "num_hidden_layers": 12, "patch_size": 16}})");
}

// llava-1.5-7b-hf: most of the text part is LlamaConfig's defaults.
json Llava() {
  return json::parse(R"({
    "architectures": ["LlavaForConditionalGeneration"], "ignore_index": -100, "image_token_index": 32000,
    "model_type": "llava", "pad_token_id": 32001, "projector_hidden_act": "gelu", "tie_word_embeddings": false,
    "text_config": {"_name_or_path": "lmsys/vicuna-7b-v1.5", "architectures": ["LlamaForCausalLM"],
                    "max_position_embeddings": 4096, "model_type": "llama", "rms_norm_eps": 1e-05,
                    "torch_dtype": "float16", "vocab_size": 32064},
    "vision_config": {"hidden_size": 1024, "image_size": 336, "intermediate_size": 4096,
                      "model_type": "clip_vision_model", "num_attention_heads": 16, "num_hidden_layers": 24,
                      "patch_size": 14, "projection_dim": 768, "vocab_size": 32000},
    "vision_feature_layer": -2, "vision_feature_select_strategy": "default", "vocab_size": 32064})");
}

ModelConfig Parse(const json& text) {
  const auto config = ParseModelConfig(text.dump());
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(ModelConfig{});
}

int64_t TokensOf(const json& text, PatchGrid tile) {
  const auto model = CreateModel(Parse(text));
  EXPECT_TRUE(model.ok()) << model.status();
  const auto layout = (*model)->vision()->Layout({&tile, 1});
  EXPECT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->rows.back(), (*model)->vision()->ImageTokens(tile));
  return layout->rows.back();
}

TEST(VisionConfig, OfQwen2VlAsPublished) {
  const ModelConfig config = Parse(Qwen2Vl());
  EXPECT_EQ(config.hidden_size, 1536);
  EXPECT_TRUE(config.tied_head);
  EXPECT_TRUE(config.attention_bias);
  EXPECT_THAT(config.rope.sections, ElementsAre(16, 24, 24));
  EXPECT_EQ(config.position_axes, 3);
  EXPECT_EQ(config.image_token_id, 151655);
  const VisionConfig& vision = config.vision.value();
  EXPECT_THAT(vision.patch_shape, ElementsAre(3, 2, 14, 14));
  EXPECT_EQ(vision.patch_floats, 1176);
  EXPECT_EQ(vision.hidden_size, 1280);
  EXPECT_EQ(vision.intermediate_size, 5120);
  EXPECT_EQ(vision.activation, Gate::kQuickGelu);
  EXPECT_EQ(vision.norm, NormKind::kLayer);
  EXPECT_EQ(vision.window_tokens, 0);
  EXPECT_EQ(TokensOf(Qwen2Vl(), {24, 36}), 12 * 18);
}

TEST(VisionConfig, OfQwen25VlAsPublished) {
  const VisionConfig vision = Parse(Qwen25Vl()).vision.value();
  EXPECT_EQ(vision.hidden_size, 1280);
  EXPECT_EQ(vision.intermediate_size, 3420);
  EXPECT_EQ(vision.norm, NormKind::kRms);
  EXPECT_TRUE(vision.gated);
  EXPECT_EQ(vision.window_tokens, 4);
  EXPECT_THAT(vision.full_attention_blocks, ElementsAre(7, 15, 23, 31));
  EXPECT_EQ(TokensOf(Qwen25Vl(), {26, 38}), 13 * 19);
}

TEST(VisionConfig, OfSmolVlmAsPublished) {
  const ModelConfig config = Parse(SmolVlm());
  EXPECT_FALSE(config.tied_head);
  EXPECT_EQ(config.position_axes, 1);
  EXPECT_EQ(config.image_token_id, 49190);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(49279));
  const VisionConfig& vision = config.vision.value();
  EXPECT_EQ(vision.position_side, 32);
  EXPECT_EQ(vision.merge, 4);
  EXPECT_FALSE(vision.projector_bias);
  EXPECT_EQ(vision.activation, Gate::kGeluTanh);
  EXPECT_EQ(TokensOf(SmolVlm(), {32, 32}), 64);
}

// Where the file says whether the head is tied differs: Idefics3 reads it outside, the others on either level.
TEST(VisionConfig, TheTiedHeadIsReadWhereTransformersReadsIt) {
  const auto tied = [](json config, const char* patch) {
    config.merge_patch(json::parse(patch));
    return Parse(config).tied_head;
  };
  EXPECT_FALSE(tied(SmolVlm(), R"({"text_config": {"tie_word_embeddings": true}})"));
  EXPECT_TRUE(tied(SmolVlm(), R"({"tie_word_embeddings": true})"));
  EXPECT_TRUE(tied(Llava(), R"({"text_config": {"tie_word_embeddings": true}})"));
  EXPECT_TRUE(tied(Llava(), R"({"tie_word_embeddings": true})"));
  EXPECT_FALSE(tied(Qwen2Vl(), R"({"tie_word_embeddings": null})"));
}

TEST(VisionConfig, OfLlavaAsPublished) {
  const ModelConfig config = Parse(Llava());
  EXPECT_EQ(config.hidden_size, 4096);
  EXPECT_EQ(config.intermediate_size, 11008);
  EXPECT_EQ(config.blocks, 32);
  EXPECT_EQ(config.vocab_size, 32064);
  EXPECT_EQ(config.image_token_id, 32000);
  EXPECT_THAT(config.eos_token_ids, ElementsAre(2));
  const VisionConfig& vision = config.vision.value();
  EXPECT_EQ(vision.blocks, 23) << "the last one is left out";
  EXPECT_EQ(vision.position_side, 24);
  EXPECT_TRUE(vision.class_token);
  EXPECT_EQ(vision.projector_width, 4096);
  EXPECT_EQ(TokensOf(Llava(), {24, 24}), 576);
}

struct Bad {
  const char* name;
  json (*base)();
  const char* patch;  // merged into it
  const char* text;   // part of the message
  absl::StatusCode code;
};

class RefusedVisionConfig : public ::testing::TestWithParam<Bad> {};

TEST_P(RefusedVisionConfig, NamesTheField) {
  json config = GetParam().base();
  config.merge_patch(json::parse(GetParam().patch));
  const absl::Status status = ParseModelConfig(config.dump()).status();
  EXPECT_EQ(status.code(), GetParam().code) << status;
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr(GetParam().text));
}

const Bad kBad[] = {
    {"NoVision", Qwen2Vl, R"({"vision_config": null})", "config.vision_config: is missing", kInvalid},
    {"VisionNoObject", Llava, R"({"vision_config": 3})", "config.vision_config: must be an object", kInvalid},
    {"NoImageToken", SmolVlm, R"({"image_token_id": null})", "config.image_token_id", kInvalid},
    {"NoImageTokenIndex", Llava, R"({"image_token_index": null})", "config.image_token_index", kInvalid},
    {"Sections", Qwen2Vl, R"({"rope_scaling": {"mrope_section": [16, 24, 23]}})", "mrope_section", kInvalid},
    {"TwoSections", Qwen2Vl, R"({"rope_scaling": {"mrope_section": [32, 32]}})", "mrope_section", kInvalid},
    {"SectionsMissing", Qwen2Vl, R"({"rope_scaling": null, "num_attention_heads": 24})", "mrope_section", kInvalid},
    {"HeadsOfSix", Qwen2Vl, R"({"vision_config": {"embed_dim": 96}})", "config.vision_config.num_heads", kInvalid},
    {"OutSize", Qwen25Vl, R"({"vision_config": {"out_hidden_size": 1024}})", "hidden_size is 2048", kInvalid},
    {"SmallWindow", Qwen25Vl, R"({"vision_config": {"window_size": 20}})", "holds no image token", kInvalid},
    {"DepthZero", Qwen25Vl, R"({"vision_config": {"depth": 0}})", "config.vision_config.depth", kInvalid},
    {"HugeDepth", Qwen2Vl, R"({"vision_config": {"depth": 100000}})", "config.vision_config.depth", kInvalid},
    {"UnevenPatch", Qwen2Vl, R"({"vision_config": {"patch_size": [14, 16]}})", "patch_size", kUnimplemented},
    {"RopeType", Qwen2Vl, R"({"vision_config": {"rope_parameters": {"rope_type": "yarn"}}})", "'yarn'", kUnimplemented},
    {"SmallImage", SmolVlm, R"({"vision_config": {"image_size": 8}})", "smaller than a patch", kInvalid},
    {"TextType", SmolVlm, R"({"text_config": {"model_type": "mamba"}})", "'mamba'", kUnimplemented},
    {"TowerType", Llava, R"({"vision_config": {"model_type": "siglip_vision_model"}})", "'siglip_vision_model'",
     kUnimplemented},
    {"Strategy", Llava, R"({"vision_feature_select_strategy": "full"})", "'full'", kUnimplemented},
    {"SeveralLayers", Llava, R"({"vision_feature_layer": [-2, -5]})", "vision_feature_layer", kUnimplemented},
    {"LayerPastTheTower", Llava, R"({"vision_feature_layer": 25})", "the tower has 24 layers", kInvalid},
    {"LayerBeforeTheTower", Llava, R"({"vision_feature_layer": -26})", "the tower has 24 layers", kInvalid},
    {"Quantized", Qwen2Vl, R"({"quantization_config": {}})", "quantized already", kUnimplemented},
    {"QuantizedOutside", Llava, R"({"quantization_config": {}})", "quantized already", kUnimplemented},
    {"TextField", Llava, R"({"text_config": {"num_attention_heads": 0}})", "config.text_config.num_attention_heads",
     kInvalid},
};

INSTANTIATE_TEST_SUITE_P(All, RefusedVisionConfig, ::testing::ValuesIn(kBad),
                         [](const auto& which) { return std::string(which.param.name); });

struct BadTile {
  const char* name;
  json (*base)();
  PatchGrid tile;
};

class RefusedTile : public ::testing::TestWithParam<BadTile> {};

TEST_P(RefusedTile, NamesTheTile) {
  const auto model = CreateModel(Parse(GetParam().base()));
  ASSERT_TRUE(model.ok()) << model.status();
  const PatchGrid good =
      (*model)->config().vision->position_side == 0
          ? PatchGrid{2, 2}
          : PatchGrid{(*model)->config().vision->position_side, (*model)->config().vision->position_side};
  const std::vector<PatchGrid> tiles = {good, GetParam().tile};
  const absl::Status status = (*model)->vision()->Layout(tiles).status();
  EXPECT_EQ(status.code(), kInvalid);
  EXPECT_EQ(FieldViolations(status).at(0).field, "tiles[1]");
}

const BadTile kBadTiles[] = {
    {"Empty", Qwen2Vl, {0, 4}},
    {"Negative", Qwen2Vl, {-2, 4}},
    {"NoMultiple", Qwen2Vl, {3, 4}},
    {"Overflow", Qwen2Vl, {int64_t{1} << 40, int64_t{1} << 40}},
    {"TooMany", Qwen25Vl, {2, 1 << 20}},
    {"PastThePositions", SmolVlm, {36, 32}},
    {"NoMultipleOfScale", SmolVlm, {30, 32}},
    {"NotTheWholeSquare", Llava, {12, 24}},
};

INSTANTIATE_TEST_SUITE_P(All, RefusedTile, ::testing::ValuesIn(kBadTiles),
                         [](const auto& which) { return std::string(which.param.name); });

TEST(VisionTower, NoTileIsRefused) {
  const auto model = CreateModel(Parse(Qwen2Vl()));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->vision()->Layout({}).status().code(), kInvalid);
}

// Which names a file uses is told by what it has; each part of the model by itself.
TEST(TensorNames, FollowTheFile) {
  struct Naming {
    json (*base)();
    std::vector<std::string> stored;
    std::vector<std::string> wanted;
  };
  const std::vector<Naming> namings = {
      {Qwen2Vl, {}, {"model.embed_tokens.weight", "visual.blocks.31.attn.qkv.bias", "visual.merger.ln_q.bias"}},
      {Qwen2Vl,
       {"model.language_model.embed_tokens.weight", "model.visual.patch_embed.proj.weight"},
       {"model.language_model.layers.27.mlp.up_proj.weight", "model.visual.merger.mlp.2.weight"}},
      {Llava,
       {"language_model.model.embed_tokens.weight", "vision_tower.vision_model.embeddings.patch_embedding.weight",
        "language_model.lm_head.weight"},
       {"language_model.lm_head.weight", "vision_tower.vision_model.pre_layrnorm.weight",
        "vision_tower.vision_model.embeddings.class_embedding", "multi_modal_projector.linear_2.bias"}},
      {Llava,
       {"model.language_model.embed_tokens.weight", "model.vision_tower.embeddings.patch_embedding.weight",
        "lm_head.weight", "model.multi_modal_projector.linear_1.weight"},
       {"lm_head.weight", "model.language_model.norm.weight", "model.vision_tower.encoder.layers.22.mlp.fc2.weight",
        "model.multi_modal_projector.linear_1.bias"}},
  };
  for (const Naming& naming : namings) {
    const auto model = CreateModel(Parse(naming.base()), [&](std::string_view name) {
      return std::ranges::find(naming.stored, name) != naming.stored.end();
    });
    ASSERT_TRUE(model.ok()) << model.status();
    std::vector<std::string> names;
    for (const TensorSpec& spec : (*model)->tensors()) names.push_back(spec.name);
    for (const std::string& name : naming.wanted) EXPECT_THAT(names, ::testing::Contains(name));
  }
}

}  // namespace
}  // namespace gwq
