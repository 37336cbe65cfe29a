#include "core/models/model.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/base/status.h"
#include "tests/support/golden_model.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::GoldenModel;
using ::testing::HasSubstr;

class EveryFamily : public ::testing::TestWithParam<std::string> {};

// The list of tensors is what import demands and the plan counts: it must be the file's, no more and no less.
TEST_P(EveryFamily, NamesTheTensorsOfTheFilesWithTheirShapes) {
  const auto golden = GoldenModel::Load(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status();
  std::set<std::string> named;
  int last_stage = 0;
  for (const TensorSpec& spec : golden->model->tensors()) {
    EXPECT_TRUE(named.insert(spec.name).second) << spec.name << " is named twice";
    EXPECT_GE(spec.stage, last_stage) << spec.name;
    EXPECT_LT(spec.stage, golden->model->stages());
    last_stage = spec.stage;
    const auto view = golden->weights.Find(spec.name);
    ASSERT_TRUE(view.ok()) << view.status();
    EXPECT_EQ(view->shape, spec.shape) << spec.name;
  }
  const std::vector<std::string> stored = golden->weights.Names();
  EXPECT_EQ(named, std::set<std::string>(stored.begin(), stored.end()));
}

TEST_P(EveryFamily, TellsWhatATensorIs) {
  const auto golden = GoldenModel::Load(GetParam());
  ASSERT_TRUE(golden.ok()) << golden.status();
  std::map<TensorKind, int> count;
  for (const TensorSpec& spec : golden->model->tensors()) {
    ++count[spec.kind];
    EXPECT_EQ(spec.part, ModelPart::kLanguage);
    EXPECT_EQ(spec.shape.size(), spec.kind == TensorKind::kNorm || spec.kind == TensorKind::kBias ? 1u : 2u);
  }
  const ModelConfig& config = golden->model->config();
  EXPECT_EQ(count[TensorKind::kLinear], 7 * config.blocks);
  EXPECT_EQ(count[TensorKind::kNorm], 2 * config.blocks + 1);
  EXPECT_EQ(count[TensorKind::kEmbedding], 1);
  EXPECT_EQ(count[TensorKind::kHead], config.tied_head ? 0 : 1);
  const int biases = 3 * config.attention_bias + config.output_bias + 3 * config.mlp_bias;
  EXPECT_EQ(count[TensorKind::kBias], biases * config.blocks);
}

INSTANTIATE_TEST_SUITE_P(Models, EveryFamily, ::testing::ValuesIn(testing::GoldenModelNames()), [](const auto& which) {
  std::string name = which.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(Families, AreListedSorted) {
  EXPECT_THAT(KnownArchitectures(),
              ElementsAre("Idefics3ForConditionalGeneration", "LlamaForCausalLM", "LlavaForConditionalGeneration",
                          "Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration",
                          "SmolVLMForConditionalGeneration"));
}

TEST(Families, AConfigOfAnUnknownOneIsRefused) {
  ModelConfig config;
  config.architecture = "Other";
  const absl::Status status = CreateModel(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("LlamaForCausalLM"));
}

TEST(TensorNames, OfKindsAndPartsAreDistinct) {
  std::set<std::string_view> kinds;
  for (const TensorKind kind : {TensorKind::kEmbedding, TensorKind::kNorm, TensorKind::kBias, TensorKind::kLinear,
                                TensorKind::kHead, TensorKind::kPosition}) {
    EXPECT_TRUE(kinds.insert(TensorKindName(kind)).second);
  }
  std::set<std::string_view> parts;
  for (const ModelPart part : {ModelPart::kLanguage, ModelPart::kVision, ModelPart::kProjector}) {
    EXPECT_TRUE(parts.insert(ModelPartName(part)).second);
  }
}

// A backend's weight that is nothing but its shape.
class ShapeOnly final : public Weight {
 public:
  explicit ShapeOnly(Shape shape) : shape_(std::move(shape)) {}
  [[nodiscard]] Shape shape() const override { return shape_; }
  [[nodiscard]] uint64_t bytes() const override { return 100; }

 private:
  const Shape shape_;
};

class FakeLoader final : public WeightLoader {
 public:
  [[nodiscard]] absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override {
    if (spec.name == fail) return absl::NotFoundError(fmt::format("no tensor {}", spec.name));
    std::shared_ptr<const Weight>& weight = weights[spec.name];
    if (weight == nullptr) weight = std::make_shared<ShapeOnly>(spec.shape);
    return weight;
  }
  std::string fail;
  std::map<std::string, std::shared_ptr<const Weight>> weights;
};

TEST(LoadedModel, LoadsEveryTensorOnceAndCountsATiedHeadOnce) {
  for (const std::string& name : testing::GoldenModelNames()) {
    const auto golden = GoldenModel::Load(name);
    ASSERT_TRUE(golden.ok()) << golden.status();
    FakeLoader loader;
    std::vector<int> steps;
    const auto loaded = LoadedModel::Load(golden->model, loader, [&](int done, int total) {
      EXPECT_EQ(total, golden->model->stages());
      steps.push_back(done);
      return absl::OkStatus();
    });
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_THAT(steps, ElementsAre(0, 1, 2, 3, 4));
    EXPECT_EQ(loader.weights.size(), golden->model->tensors().size());
    EXPECT_EQ((*loaded)->weight_bytes(), 100 * golden->model->tensors().size());
  }
}

TEST(LoadedModel, StopsAtTheFirstErrorOfLoaderOrProgress) {
  const auto golden = GoldenModel::Load("llama-tied-f16-v4");
  ASSERT_TRUE(golden.ok()) << golden.status();
  FakeLoader loader;
  loader.fail = "model.layers.1.mlp.up_proj.weight";
  const absl::Status missing = LoadedModel::Load(golden->model, loader, nullptr).status();
  EXPECT_EQ(missing.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(MessageOf(missing)), HasSubstr(loader.fail));
  FakeLoader good;
  const auto cancel = [](int done, int) { return done == 2 ? absl::CancelledError("stop") : absl::OkStatus(); };
  EXPECT_EQ(LoadedModel::Load(golden->model, good, cancel).status().code(), absl::StatusCode::kCancelled);
}

TEST(Model, AStageOutOfRangeIsRefused) {
  const auto golden = GoldenModel::Load("llama-tied-f16-v4");
  ASSERT_TRUE(golden.ok()) << golden.status();
  FakeLoader loader;
  EXPECT_EQ(golden->model->LoadStage(4, loader).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(golden->model->LoadStage(-1, loader).status().code(), absl::StatusCode::kOutOfRange);
}

}  // namespace
}  // namespace gwq
