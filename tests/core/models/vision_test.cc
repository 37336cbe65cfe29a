// Vision-language families: tensors by the names of the file, layouts, positions; on CpuBackend against transformers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "core/backend/cpu/cpu_backend.h"
#include "core/base/status.h"
#include "core/models/vision_layout.h"
#include "tests/support/golden_prompt.h"
#include "tests/support/vision_conformance.h"

namespace gwq {
namespace {

using testing::GoldenModel;
using testing::GoldenPrompt;
using ::testing::HasSubstr;

// fp32 against transformers' fp32, for weights stored as F32, F16 and BF16.
constexpr double kLogitsTolerance = 1e-4;

class EveryVisionFamily : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    auto golden = GoldenModel::Load(GetParam());
    ASSERT_TRUE(golden.ok()) << golden.status();
    golden_ = *std::move(golden);
  }
  GoldenModel golden_;
};

// A LLaVA tower stops before its last blocks and norm; everything else of the file has a use.
bool HasNoUse(const std::string& name) {
  return name.find("vision_tower") != std::string::npos &&
         (name.find(".layers.2.") != std::string::npos || name.find("post_layernorm") != std::string::npos);
}

TEST_P(EveryVisionFamily, NamesTheTensorsOfTheFilesWithTheirShapes) {
  std::set<std::string> named;
  int last_stage = 0;
  for (const TensorSpec& spec : golden_.model->tensors()) {
    EXPECT_TRUE(named.insert(spec.name).second) << spec.name << " is named twice";
    EXPECT_GE(spec.stage, last_stage) << spec.name;
    EXPECT_LT(spec.stage, golden_.model->all_stages());
    EXPECT_EQ(spec.stage < golden_.model->stages(), spec.part == ModelPart::kLanguage) << spec.name;
    last_stage = spec.stage;
    const auto view = golden_.weights.Find(spec.name);
    ASSERT_TRUE(view.ok()) << view.status();
    EXPECT_EQ(view->shape, spec.shape) << spec.name;
    EXPECT_LE(MatrixShape(spec.shape).size(), 2u);
  }
  std::set<std::string> stored;
  for (const std::string& name : golden_.weights.Names()) {
    if (!HasNoUse(name)) stored.insert(name);
  }
  EXPECT_EQ(named, stored);
}

TEST_P(EveryVisionFamily, LoadsTheTensorsOfItsStages) {
  const auto backend = CreateCpuBackend({.threads = 1, .isa = std::nullopt});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::FilesWeightLoader loader(**backend, golden_.weights);
  std::map<int, std::set<std::string>> wanted;
  for (const TensorSpec& spec : golden_.model->tensors()) wanted[spec.stage].insert(spec.name);
  const VisionTower& tower = *golden_.model->vision();
  for (int stage = 0; stage < tower.stages(); ++stage) {
    const auto loaded = tower.LoadStage(stage, loader);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    std::set<std::string> names;
    for (const NamedWeight& named : (*loaded)->weights()) names.insert(named.name);
    EXPECT_EQ(names, wanted[golden_.model->stages() + stage]) << "stage " << stage;
  }
  EXPECT_EQ(tower.LoadStage(tower.stages(), loader).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_P(EveryVisionFamily, PositionsEqualTransformers) {
  for (const std::string_view which : testing::GoldenPromptNames(golden_)) {
    const GoldenPrompt prompt = LoadGoldenPrompt(golden_, which);
    for (const auto& tokens : {prompt.tokens, prompt.raw_tokens}) {
      const auto positions = golden_.model->PositionsFor(tokens, prompt.images);
      ASSERT_TRUE(positions.ok()) << positions.status();
      EXPECT_EQ(positions->positions, prompt.positions) << which;
      EXPECT_EQ(positions->delta, prompt.delta) << which;
    }
  }
}

TEST_P(EveryVisionFamily, PositionsOfAnotherNumberOfImageRowsAreRefused) {
  const GoldenPrompt prompt = LoadGoldenPrompt(golden_, "b");
  std::vector<int32_t> tokens = prompt.tokens;
  tokens.erase(std::ranges::find_if(tokens, [](int32_t token) { return token < 0; }));
  const absl::Status status = golden_.model->PositionsFor(tokens, prompt.images).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("image tokens"));
}

TEST_P(EveryVisionFamily, LoadsAllStagesAndCountsTheWeightsOfEveryPart) {
  const auto backend = CreateCpuBackend({.threads = 1, .isa = std::nullopt});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::FilesWeightLoader loader(**backend, golden_.weights);
  int steps = 0;
  const auto model = LoadedModel::Load(golden_.model, loader, [&](int done, int total) {
    EXPECT_EQ(done, steps++);
    EXPECT_EQ(total, golden_.model->all_stages());
    return absl::OkStatus();
  });
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(steps, golden_.model->all_stages() + 1);
  uint64_t bytes = 0;
  for (const TensorSpec& spec : golden_.model->tensors()) bytes += loader.Load(spec).value()->bytes();
  EXPECT_EQ((*model)->weight_bytes(), bytes);
}

TEST_P(EveryVisionFamily, ImagesWhoseFloatsDoNotFitTheirTilesAreRefused) {
  const auto backend = CreateCpuBackend({.threads = 1, .isa = std::nullopt});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::FilesWeightLoader loader(**backend, golden_.weights);
  const auto model = LoadedModel::Load(golden_.model, loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  const GoldenPrompt prompt = LoadGoldenPrompt(golden_, "a");
  std::vector<float> out(prompt.embeddings.size());
  const std::span<const float> patches = prompt.patches;
  const auto encode = [&](std::span<const float> in, std::span<const PatchGrid> tiles, std::span<float> to) {
    return (*model)->EncodeImage(**backend, in, tiles, to).code();
  };
  EXPECT_EQ(encode(patches, prompt.images[0], out), absl::StatusCode::kOk);
  EXPECT_EQ(encode(patches.subspan(1), prompt.images[0], out), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(encode(patches, prompt.images[0], std::span(out).subspan(1)), absl::StatusCode::kInvalidArgument);
  std::vector<PatchGrid> more = prompt.images[0];
  more.push_back(more[0]);
  EXPECT_EQ(encode(patches, more, out), absl::StatusCode::kInvalidArgument);
  more.back() = {-1, 4};
  EXPECT_EQ(encode(patches, more, out), absl::StatusCode::kInvalidArgument);
}

// All stages of all tiles in one pass.
std::vector<float> EncodeAtOnce(const GoldenModel& golden, Backend& backend, const GoldenPrompt& prompt) {
  testing::FilesWeightLoader loader(backend, golden.weights);
  const VisionTower& tower = *golden.model->vision();
  const VisionLayout layout = tower.Layout(prompt.images[0]).value();
  const auto pass = backend.Begin(BatchOfRows(layout.rows.front()), nullptr).value();
  Activation x = pass->Input(prompt.patches, tower.width(0));
  std::vector<std::unique_ptr<VisionStage>> stages;
  for (int s = 0; s < tower.stages(); ++s) {
    stages.push_back(tower.LoadStage(s, loader).value());
    x = stages.back()->Run(*pass, layout, std::move(x));
  }
  std::vector<float> out(prompt.embeddings.size());
  EXPECT_TRUE(pass->Read(x, out).ok());
  EXPECT_TRUE(pass->Finish().ok());
  return out;
}

TEST_P(EveryVisionFamily, EncodesEachStageOnItsOwnWithoutChangingABit) {
  const auto backend = CreateCpuBackend({.threads = 2, .isa = std::nullopt});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::FilesWeightLoader loader(**backend, golden_.weights);
  const auto model = LoadedModel::Load(golden_.model, loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  const GoldenPrompt prompt = LoadGoldenPrompt(golden_, "a");
  const int stages = golden_.model->vision()->stages() * static_cast<int>(prompt.images[0].size());
  std::vector<float> out(prompt.embeddings.size());
  int ran = 0;
  const auto encode = [&](int end_at) {
    ran = 0;
    return (*model)->EncodeImage(**backend, prompt.patches, prompt.images[0], out, [&](const auto& stage) {
      if (ran == end_at) return absl::CancelledError("enough");
      ++ran;
      return stage();
    });
  };
  ASSERT_TRUE(encode(-1).ok());
  EXPECT_EQ(ran, stages);
  EXPECT_EQ(out, EncodeAtOnce(golden_, **backend, prompt));
  for (int end_at = 0; end_at < stages; ++end_at) {
    EXPECT_TRUE(absl::IsCancelled(encode(end_at)));
    EXPECT_EQ(ran, end_at);
  }
}

TEST_P(EveryVisionFamily, CpuLogitsEqualTransformersOnEveryInstructionSet) {
  for (const IsaLevel isa : SupportedIsaLevels()) {
    SCOPED_TRACE(IsaLevelName(isa));
    const auto backend = CreateCpuBackend({.threads = 2, .isa = isa});
    ASSERT_TRUE(backend.ok()) << backend.status();
    testing::ExpectGoldenVision(**backend, GetParam(), kLogitsTolerance, /*bitwise=*/true);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, EveryVisionFamily, ::testing::ValuesIn(testing::GoldenVisionModelNames()),
                         [](const auto& which) {
                           std::string name = which.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

TEST(EasyVqa, CpuLogitsEqualTransformersOnEveryInstructionSet) {
  for (const IsaLevel isa : SupportedIsaLevels()) {
    SCOPED_TRACE(IsaLevelName(isa));
    const auto backend = CreateCpuBackend({.threads = 2, .isa = isa});
    ASSERT_TRUE(backend.ok()) << backend.status();
    testing::ExpectEasyVqa(**backend, kLogitsTolerance, /*bitwise=*/true);
  }
}

TEST(TextModel, EncodesNoImages) {
  const auto golden = GoldenModel::Load("llama-tied-f16-v4");
  ASSERT_TRUE(golden.ok()) << golden.status();
  EXPECT_EQ(golden->model->vision(), nullptr);
  const auto backend = CreateCpuBackend({.threads = 1, .isa = std::nullopt});
  ASSERT_TRUE(backend.ok()) << backend.status();
  testing::FilesWeightLoader loader(**backend, golden->weights);
  const auto model = LoadedModel::Load(golden->model, loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->EncodeImage(**backend, {}, {}, {}).code(), absl::StatusCode::kFailedPrecondition);
  const std::vector<std::vector<PatchGrid>> image = {{{2, 2}}};
  EXPECT_EQ(golden->model->PositionsFor(std::vector<int32_t>{1, ~0}, image).status().code(),
            absl::StatusCode::kInvalidArgument);
  const auto plain = golden->model->PositionsFor(std::vector<int32_t>{4, 5, 6}, {});
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_THAT(plain->positions, ::testing::ElementsAre(0, 1, 2));
  EXPECT_EQ(plain->delta, 0);
}

TEST(LearnedPositions, OfTilesOfEverySizeEqualTransformers) {
  const auto text = ReadSmallFile(LocalFileSystem(), testing::GoldenPath("models/positions.json"), 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status();
  for (const nlohmann::json& entry : nlohmann::json::parse(*text)) {
    VisionConfig config;
    config.position_side = entry[0];
    config.resampled_positions = true;
    config.attention.head_dim = 4;
    const auto count = entry[1].get<int64_t>();
    const PatchGrid tile = {count, count};
    const auto layout = LayoutOf(config, {&tile, 1});
    ASSERT_TRUE(layout.ok()) << layout.status();
    std::vector<int32_t> expected;
    for (const int32_t y : entry[2]) {
      for (const int32_t x : entry[2]) expected.push_back(y * static_cast<int32_t>(config.position_side) + x);
    }
    EXPECT_EQ(layout->position_ids, expected) << config.position_side << " " << count;
  }
}

}  // namespace
}  // namespace gwq
