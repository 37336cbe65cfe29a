// Quantizations that take their samples from a dataset.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/quant/job/quantize.h"
#include "tests/support/dataset_builder.h"
#include "tests/support/golden_model.h"
#include "tests/support/png_file.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_folder.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using Json = nlohmann::json;
using testing::FailsAt;
using testing::HasCode;
using testing::IsOk;

constexpr char kField[] = "recipe.calibration.dataset";
constexpr char kTexts[] =
    "{\"text\":\"w1 w5 w9 w33 w2 w40 w41 w7\"}\n"
    "{\"text\":\"w63 w12 w12 w3 w8 w4 w6 w30\"}\n"
    "{\"text\":\"w31 w32 w20 w21 w22 w23 w24 w25\"}\n";
constexpr char kQuestions[] =
    "{\"question\":\"what shape is in the image?\",\"image\":\"a.png\",\"answer\":\"circle\"}\n"
    "{\"text\":\"what is the color of the rectangle? blue\"}\n"
    "{\"question\":\"what is the color of the shape?\",\"image\":\"b.png\",\"answer\":\"red\"}\n";

Recipe DatasetRecipe(Method method, const Digest& dataset) {
  Recipe recipe;
  recipe.method = method;
  recipe.bits = 3;
  recipe.group_size = 16;
  recipe.threads = 1;
  recipe.calibration.source = CalibrationSource::kDataset;
  recipe.calibration.dataset = dataset.Hex();
  return recipe;
}

std::string Picture(uint8_t shade) {
  return testing::PngFile(64, 64, [&](int x, int y) {
    const bool inside = x > 20 && x < 44 && y > 10 && y < 40;
    return inside ? testing::Rgb{shade, 20, 30} : testing::Rgb{225, 235, static_cast<uint8_t>(200 + x / 2)};
  });
}

TEST(DatasetCalibration, GptqTakesEachTextAsASample) {
  testing::StoredGolden golden("llama-tied-f16-v4");
  const auto dataset = testing::MakeDataset(golden.store(), {{"texts.jsonl", kTexts}});
  ASSERT_THAT(dataset, IsOk());
  Recipe recipe = DatasetRecipe(Method::kGptq, *dataset);
  const auto all = QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress());
  ASSERT_THAT(all, IsOk());
  const Json report = Json::parse(all->report_json);
  EXPECT_EQ(report["calibration_samples"], 3);
  EXPECT_EQ(report["calibration_tokens"], 24);
  EXPECT_EQ(report["recipe"]["calibration"]["dataset"], dataset->Hex());
  EXPECT_EQ(QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress())->artifact, all->artifact);
  recipe.calibration.samples = 2;
  const auto two = QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress());
  ASSERT_THAT(two, IsOk());
  EXPECT_EQ(Json::parse(two->report_json)["calibration_samples"], 2);
  EXPECT_NE(two->artifact, all->artifact);
}

TEST(DatasetCalibration, OfOneTextIsThatOfTheText) {
  testing::StoredGolden golden("llama-tied-f16-v4");
  const auto dataset = testing::MakeDataset(golden.store(), {{"a.jsonl", "{\"text\":\"w1 w5 w9 w33\"}\n"}});
  ASSERT_THAT(dataset, IsOk());
  Recipe recipe = DatasetRecipe(Method::kGptq, *dataset);
  const auto taken = QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress());
  recipe.calibration = {};
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text = "w1 w5 w9 w33";
  recipe.calibration.samples = 1;
  const auto given = QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress());
  ASSERT_THAT(taken, IsOk());
  ASSERT_THAT(given, IsOk());
  const auto one = golden.Open(taken->artifact), other = golden.Open(given->artifact);
  for (const TensorSpec& spec : one->model()->tensors()) {
    EXPECT_EQ(one->Find(spec.name)->digest, other->Find(spec.name)->digest) << spec.name;
  }
}

TEST(DatasetCalibration, WhatCannotBeUsedIsRefusedBeforeAnyWork) {
  testing::StoredGolden golden("llama-tied-f16-v4");
  const auto quantize = [&](const absl::StatusOr<Digest>& dataset) {
    EXPECT_THAT(dataset, IsOk());
    return QuantizeModel(golden.store(), golden.digest(), DatasetRecipe(Method::kGptq, *dataset), NoProgress());
  };
  EXPECT_THAT(quantize(testing::MakeDataset(golden.store(), {{"plain.txt", "w1 w2 w3"}})), FailsAt(kField));
  EXPECT_THAT(quantize(testing::MakeDataset(
                  golden.store(), {{"a.png", Picture(200)}, {"b.png", Picture(20)}, {"q.jsonl", kQuestions}})),
              FailsAt(kField))
      << "the model sees no images";
  EXPECT_THAT(quantize(Sha256Of("nothing")), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(quantize(golden.digest()), HasCode(absl::StatusCode::kFailedPrecondition)) << "a model is no dataset";
}

class ImageCalibration : public ::testing::TestWithParam<Method> {};

// Ends after so many saves.
class Slot final : public CheckpointSlot {
 public:
  explicit Slot(int limit) : limit_(limit) {}
  absl::StatusOr<std::optional<Checkpoint>> Load() override { return last_; }
  absl::Status Save(const Checkpoint& checkpoint) override {
    if (limit_-- == 0) return absl::AbortedError("the attempt ends here");
    last_ = checkpoint;
    return absl::OkStatus();
  }

 private:
  int limit_;
  std::optional<Checkpoint> last_;
};

TEST_P(ImageCalibration, ReachesTheTowerAndGoesOnFromACheckpoint) {
  testing::StoredFolder folder(testing::SourcePath("tests/models/easy-vqa-qwen2-vl"));
  const auto dataset =
      testing::MakeDataset(folder.store(), {{"a.png", Picture(200)}, {"b.png", Picture(20)}, {"q.jsonl", kQuestions}});
  ASSERT_THAT(dataset, IsOk());
  Recipe recipe = DatasetRecipe(GetParam(), *dataset);
  recipe.calibration.samples = 3;
  const auto made = QuantizeModel(folder.store(), folder.model(), recipe, NoProgress());
  ASSERT_THAT(made, IsOk());
  const Json report = Json::parse(made->report_json);
  EXPECT_EQ(report["calibration_samples"], 3);
  int tower = 0;
  for (const Json& module : report["modules"]) {
    if (module["part"] == "language") continue;
    ++tower;
    EXPECT_EQ(module["method"], report["recipe"]["method"]) << module["tensor"];
  }
  EXPECT_GT(tower, 4);
  // Somewhere in the tower, and behind it.
  for (const int saves : {1, 4}) {
    Slot slot(saves);
    EXPECT_THAT(QuantizeModel(folder.store(), folder.model(), recipe, NoProgress(), {}, &slot),
                HasCode(absl::StatusCode::kAborted));
    const auto resumed = QuantizeModel(folder.store(), folder.model(), recipe, NoProgress(), {}, &slot);
    ASSERT_THAT(resumed, IsOk());
    EXPECT_EQ(resumed->artifact, made->artifact) << saves;
  }
}

INSTANTIATE_TEST_SUITE_P(Methods, ImageCalibration, ::testing::Values(Method::kGptq, Method::kGwq),
                         [](const auto& which) { return std::string(which.param == Method::kGwq ? "gwq" : "gptq"); });

}  // namespace
}  // namespace gwq
