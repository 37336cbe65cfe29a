#include "core/quant/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "core/base/status.h"

namespace gwq {
namespace {

// The manifest of these tensors in FP16.
Manifest HalfManifest(const std::vector<TensorSpec>& specs) {
  Manifest manifest;
  manifest.kind = "model";
  manifest.shards.resize(1);
  uint64_t offset = 0;
  for (const TensorSpec& spec : specs) {
    ManifestTensor tensor;
    tensor.name = spec.name;
    tensor.dtype = "F16";
    tensor.shape = spec.shape;
    tensor.offset = offset;
    tensor.size = static_cast<uint64_t>(*ElementCount(spec.shape)) * 2;
    offset += tensor.size;
    manifest.shards[0].tensors.push_back(tensor);
  }
  return manifest;
}

// A model that is nothing but its list of tensors: two blocks, hidden 40 (no multiple of the group), untied head.
class Listed final : public Model {
 public:
  Listed() {
    config_.blocks = 2;
    config_.hidden_size = 40;
    config_.intermediate_size = 72;
    config_.vocab_size = 100;
    config_.attention = {4, 2, 10, 0.3F};
    Add("model.embed_tokens.weight", {100, 40}, TensorKind::kEmbedding, 0);
    for (int block = 0; block < 2; ++block) {
      const std::string base = "model.layers." + std::to_string(block);
      Add(base + ".input_layernorm.weight", {40}, TensorKind::kNorm, block + 1);
      Add(base + ".self_attn.q_proj.weight", {40, 40}, TensorKind::kLinear, block + 1);
      Add(base + ".self_attn.q_proj.bias", {40}, TensorKind::kBias, block + 1);
      Add(base + ".mlp.down_proj.weight", {40, 71}, TensorKind::kLinear, block + 1);
    }
    Add("lm_head.weight", {100, 40}, TensorKind::kHead, 3);
  }
  const ModelConfig& config() const override { return config_; }
  const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  absl::StatusOr<std::unique_ptr<Stage>> LoadStage(int, WeightLoader&) const override {
    return absl::UnimplementedError("a plan loads nothing");
  }
  const VisionTower* vision() const override { return nullptr; }
  Manifest Source() const { return HalfManifest(tensors_); }

 private:
  void Add(std::string name, Shape shape, TensorKind kind, int stage) {
    tensors_.push_back({std::move(name), std::move(shape), kind, ModelPart::kLanguage, stage});
  }
  ModelConfig config_;
  std::vector<TensorSpec> tensors_;
};

const PlannedModule& Find(const Plan& plan, std::string_view tensor) {
  for (const PlannedModule& module : plan.modules) {
    if (module.tensor == tensor) return module;
  }
  ADD_FAILURE() << "no module " << tensor;
  return plan.modules.front();
}

std::string FieldOf(const absl::Status& status) {
  const auto violations = FieldViolations(status);
  return violations.empty() ? "" : violations[0].field;
}

absl::StatusOr<Plan> PlanOf(const Recipe& recipe) {
  const Listed model;
  return PlanQuantization(model, model.Source(), recipe);
}

TEST(Plan, DefaultsQuantizeLinearsAndKeepNormsAndBiases) {
  const auto plan = PlanOf(Recipe{});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->modules.size(), 10U);
  const PlannedModule& down = Find(*plan, "model.layers.1.mlp.down_proj.weight");
  EXPECT_EQ(down.method, Method::kGwq);
  EXPECT_EQ(down.packed, (PackedShape{40, 71, 4, 64, 28}));
  EXPECT_EQ(down.stage, 2);
  EXPECT_EQ(Find(*plan, "model.layers.0.input_layernorm.weight").method, Method::kKeep);
  EXPECT_EQ(Find(*plan, "model.layers.0.self_attn.q_proj.bias").method, Method::kKeep);
  for (const char* name : {"lm_head.weight", "model.embed_tokens.weight"}) {
    EXPECT_EQ(Find(*plan, name).method, Method::kRtn);
    EXPECT_EQ(Find(*plan, name).packed, (PackedShape{100, 40, 8, 40, 0}));
  }
}

TEST(Plan, SumsAreTheModulesSums) {
  const auto plan = PlanOf(Recipe{});
  ASSERT_TRUE(plan.ok());
  uint64_t bytes = 0, weights = 0, matrix_bytes = 0, matrix_weights = 0;
  for (const PlannedModule& module : plan->modules) {
    bytes += module.stored_bytes;
    weights += module.weights;
    EXPECT_EQ(module.stored_bytes, module.method == Method::kKeep ? module.weights * 2 : LayoutOf(module.packed).total);
    if (module.kind != TensorKind::kLinear) continue;
    matrix_bytes += module.stored_bytes;
    matrix_weights += module.weights;
  }
  EXPECT_EQ(plan->total_bytes, bytes);
  EXPECT_EQ(plan->total_weights, weights);
  EXPECT_DOUBLE_EQ(plan->matrix_bits_per_weight,
                   static_cast<double>(matrix_bytes) * 8 / static_cast<double>(matrix_weights));
  EXPECT_DOUBLE_EQ(plan->model_bits_per_weight, static_cast<double>(bytes) * 8 / static_cast<double>(weights));
  EXPECT_GT(plan->peak_memory_bytes, plan->total_bytes);
}

TEST(Plan, AGroupLongerThanTheRowIsOneGroup) {
  Recipe recipe;
  recipe.group_size = 1024;
  const auto plan = PlanOf(recipe);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(Find(*plan, "model.layers.0.mlp.down_proj.weight").packed.group_size, 72);
  EXPECT_EQ(Find(*plan, "model.layers.0.self_attn.q_proj.weight").packed.group_size, 40);
}

TEST(Plan, LaterRulesWin) {
  Recipe recipe;
  recipe.rules = {{"*", "", "linear", Method::kRtn, 3, 8, std::nullopt},
                  {"model.layers.1.*", "", "", std::nullopt, 8, std::nullopt, std::nullopt},
                  {"*.down_proj", "language", "", Method::kKeep, std::nullopt, std::nullopt, std::nullopt}};
  const auto plan = PlanOf(recipe);
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(Find(*plan, "model.layers.0.self_attn.q_proj.weight").packed, (PackedShape{40, 40, 3, 8, 0}));
  EXPECT_EQ(Find(*plan, "model.layers.1.self_attn.q_proj.weight").packed, (PackedShape{40, 40, 8, 8, 0}));
  EXPECT_EQ(Find(*plan, "model.layers.1.mlp.down_proj.weight").method, Method::kKeep);
  EXPECT_EQ(Find(*plan, "model.layers.1.mlp.down_proj.weight").stored_bytes, 40U * 71 * 2);
  EXPECT_EQ(Find(*plan, "lm_head.weight").packed.bits, 8);
}

TEST(Plan, HeadAndEmbeddingFollowTheirPolicy) {
  Recipe recipe;
  recipe.head_bits = 16;
  recipe.rules = {{"model.embed_tokens", "", "", std::nullopt, 4, 16, std::nullopt}};
  const auto plan = PlanOf(recipe);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(Find(*plan, "lm_head.weight").method, Method::kKeep);
  EXPECT_EQ(Find(*plan, "model.embed_tokens.weight").packed, (PackedShape{100, 40, 4, 16, 0}));
}

TEST(Plan, RefusesARuleThatMatchesNothing) {
  for (const RecipeRule& rule :
       {RecipeRule{"model.layers.7.*", "", "", Method::kKeep}, RecipeRule{"*", "vision", "", Method::kKeep},
        RecipeRule{"lm_head", "", "linear", Method::kKeep}, RecipeRule{"*.input_layernorm", "", "", Method::kRtn}}) {
    Recipe recipe;
    recipe.rules = {{"*", "", "", std::nullopt, 4}, rule};
    const auto plan = PlanOf(recipe);
    EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(plan.status()), "recipe.rules[1].pattern") << plan.status();
  }
}

TEST(Plan, RefusesGradientsOfTheHead) {
  Recipe recipe;
  recipe.rules = {{"*", "", "", Method::kGwq}};
  EXPECT_EQ(FieldOf(PlanOf(recipe).status()), "recipe.rules[0].method");
}

TEST(Plan, RefusesAModelThatLacksATensor) {
  const Listed model;
  Manifest source = model.Source();
  source.shards[0].tensors.pop_back();
  const auto plan = PlanQuantization(model, source, Recipe{});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(plan.status().message().find("lm_head.weight"), absl::string_view::npos);
}

// The tiny Qwen2-VL of the goldens, by its config.json alone.
std::unique_ptr<Model> VisionModel() {
  std::ifstream file(std::string(std::getenv("GWQ_SOURCE_DIR")) +
                     "/tests/golden/models/qwen2-vl-tied-f16-v4/config.json");
  std::ostringstream json;
  json << file.rdbuf();
  const auto config = ParseModelConfig(json.str());
  EXPECT_TRUE(config.ok()) << config.status();
  return *CreateModel(*config);
}

const PlannedModule& FirstOf(const Plan& plan, ModelPart part) {
  for (const PlannedModule& module : plan.modules) {
    if (module.part == part && module.kind == TensorKind::kLinear) return module;
  }
  ADD_FAILURE() << "no matrix of " << ModelPartName(part);
  return plan.modules.front();
}

TEST(Plan, EveryPartOfAVisionModelIsEligibleAndThePatchEmbeddingIsAMatrix) {
  const auto model = VisionModel();
  const auto plan = PlanQuantization(*model, HalfManifest(model->tensors()), Recipe{});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(plan->sees_image) << "a vision model's own sample has an image";
  for (const ModelPart part : {ModelPart::kLanguage, ModelPart::kVision, ModelPart::kProjector}) {
    EXPECT_EQ(FirstOf(*plan, part).method, Method::kGwq) << ModelPartName(part);
  }
  bool found = false;
  for (const TensorSpec& spec : model->tensors()) {
    if (spec.shape.size() <= 2) continue;
    found = true;
    const PlannedModule& patch = Find(*plan, spec.name);
    EXPECT_EQ(patch.method, Method::kGwq);
    EXPECT_EQ((Shape{patch.packed.rows, patch.packed.cols}), MatrixShape(spec.shape));
    Recipe recipe;
    recipe.rules = {{spec.name.substr(0, spec.name.rfind('.')), "vision", "", Method::kKeep}};
    const auto left = PlanQuantization(*model, HalfManifest(model->tensors()), recipe);
    ASSERT_TRUE(left.ok()) << left.status();
    EXPECT_EQ(Find(*left, spec.name).method, Method::kKeep);
    EXPECT_EQ(Find(*left, spec.name).stored_bytes, patch.weights * 2);
  }
  EXPECT_TRUE(found);
}

TEST(Plan, WithoutAnImageTheTowerIsRoundedToNearest) {
  const auto model = VisionModel();
  const Manifest source = HalfManifest(model->tensors());
  Recipe recipe;
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text = "only words";
  const auto text = PlanQuantization(*model, source, recipe);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_FALSE(text->sees_image);
  EXPECT_EQ(FirstOf(*text, ModelPart::kLanguage).method, Method::kGwq);
  EXPECT_EQ(FirstOf(*text, ModelPart::kVision).method, Method::kRtn);
  EXPECT_EQ(FirstOf(*text, ModelPart::kProjector).method, Method::kRtn);
  recipe.rules = {{"*", "vision", "linear", Method::kGwq}};
  EXPECT_EQ(FieldOf(PlanQuantization(*model, source, recipe).status()), "recipe.rules[0].method");
  recipe.rules = {{"*", "vision", "linear", Method::kKeep}, {"*", "projector", "linear", Method::kRtn, 8}};
  const auto ruled = PlanQuantization(*model, source, recipe);
  ASSERT_TRUE(ruled.ok()) << ruled.status();
  EXPECT_EQ(FirstOf(*ruled, ModelPart::kVision).method, Method::kKeep);
  EXPECT_EQ(FirstOf(*ruled, ModelPart::kProjector).packed.bits, 8);
  EXPECT_EQ(FirstOf(*ruled, ModelPart::kLanguage).packed.bits, 4);

  Recipe image;
  const auto seen = PlanQuantization(*model, source, image);
  EXPECT_GT(seen->peak_memory_bytes, text->peak_memory_bytes) << "the tower's inputs and stages";
  image.calibration.source = CalibrationSource::kImage;
  const Listed words;
  EXPECT_EQ(FieldOf(PlanQuantization(words, words.Source(), image).status()), "recipe.calibration.source");
}

TEST(Plan, TheBuiltInImageIsOneSample) {
  const auto model = VisionModel();
  Recipe recipe;
  recipe.calibration.samples = 3;
  EXPECT_EQ(FieldOf(PlanQuantization(*model, HalfManifest(model->tensors()), recipe).status()),
            "recipe.calibration.samples");
}

TEST(Plan, ADatasetWithImagesReachesTheTower) {
  const auto model = VisionModel();
  const Manifest source = HalfManifest(model->tensors());
  Manifest texts, images, plain;
  texts.files = {{"a.jsonl", 1'000'000, Digest{}}};
  images.files = {{"a.jsonl", 1'000, Digest{}}, {"b/c.jpg", 1'000, Digest{}}};
  plain.files = {{"a.txt", 1'000, Digest{}}};
  Recipe recipe;
  recipe.method = Method::kGptq;
  recipe.calibration.source = CalibrationSource::kDataset;
  recipe.calibration.dataset = Sha256Of("dataset").Hex();
  const auto words = PlanQuantization(*model, source, recipe, {&texts});
  ASSERT_TRUE(words.ok()) << words.status();
  EXPECT_FALSE(words->sees_image);
  EXPECT_EQ(words->samples, 32);
  EXPECT_EQ(FirstOf(*words, ModelPart::kVision).method, Method::kRtn);
  const auto seen = PlanQuantization(*model, source, recipe, {&images});
  ASSERT_TRUE(seen.ok()) << seen.status();
  EXPECT_TRUE(seen->sees_image);
  EXPECT_EQ(seen->samples, 32);
  EXPECT_EQ(FirstOf(*seen, ModelPart::kVision).method, Method::kGptq);
  EXPECT_GT(seen->peak_memory_bytes, words->peak_memory_bytes);
  recipe.calibration.samples = 64;
  EXPECT_GT(PlanQuantization(*model, source, recipe, {&images})->peak_memory_bytes, seen->peak_memory_bytes)
      << "the rows of all images are held";
  const Listed text_model;
  EXPECT_EQ(FieldOf(PlanQuantization(text_model, text_model.Source(), recipe, {&images}).status()),
            "recipe.calibration.dataset");
  EXPECT_EQ(FieldOf(PlanQuantization(*model, source, recipe, {&plain}).status()), "recipe.calibration.dataset");
}

}  // namespace
}  // namespace gwq
