// A job that is ended after any stage goes on from its checkpoint: the same artifact, and no more than one stage twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "core/quant/quantize.h"
#include "core/spec/recipe_names.h"
#include "tests/support/golden_model.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;
using testing::StoredGolden;

constexpr char kModel[] = "llama-tied-f16-v4";

// Keeps the last checkpoint in memory, and ends the job where it would save once more than it may.
class Checkpoints final : public CheckpointSlot {
 public:
  absl::StatusOr<std::optional<Checkpoint>> Load() override { return last_; }
  absl::Status Save(const Checkpoint& checkpoint) override {
    if (saves == limit) return absl::AbortedError("the attempt ends here");
    ++saves;
    last_ = checkpoint;
    return absl::OkStatus();
  }

  // For the attempt that begins.
  void Allow(int count) {
    saves = 0;
    limit = count;
  }
  int saves = 0;

 private:
  int limit = 1'000'000;
  std::optional<Checkpoint> last_;
};

Recipe Tiny(Method method) {
  Recipe recipe;
  recipe.method = method;
  recipe.bits = 3;
  recipe.group_size = 16;
  recipe.gwq.outlier_ratio = 0.05;
  recipe.spqr.outlier_ratio = 0.05;
  recipe.threads = 1;
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text = "w1 w5 w9 w33 w2 w40 w41 w7 w63 w12 w12 w3 w8 w4 w6 w30 w31 w32 w20 w21 w22 w23 w24 w25";
  recipe.calibration.samples = 3;
  return recipe;
}

// Gradients for the first block, Gram matrices for the others, one module kept.
Recipe Mixed() {
  Recipe recipe = Tiny(Method::kGptq);
  recipe.rules = {{.pattern = "model.layers.0.*", .part = "", .kind = "", .method = Method::kGwq},
                  {.pattern = "*.up_proj", .part = "", .kind = "", .method = Method::kKeep}};
  return recipe;
}

absl::StatusOr<QuantizeResult> Quantize(StoredGolden& golden, const Recipe& recipe, Checkpoints* checkpoints) {
  return QuantizeModel(golden.store(), golden.digest(), recipe, NoProgress(), {}, checkpoints);
}

class Resume : public ::testing::TestWithParam<Recipe> {};

TEST_P(Resume, AfterEveryStageTheArtifactIsTheSameAndOneStageIsDoneTwice) {
  StoredGolden golden(kModel);
  const auto whole = Quantize(golden, GetParam(), nullptr);
  ASSERT_THAT(whole, IsOk());
  Checkpoints counting;
  ASSERT_THAT(Quantize(golden, GetParam(), &counting), IsOk());
  const int stages = counting.saves;
  EXPECT_GE(stages, 3);
  for (int end = 0; end < stages; ++end) {
    SCOPED_TRACE(end);
    Checkpoints checkpoints;
    checkpoints.Allow(end);
    EXPECT_THAT(Quantize(golden, GetParam(), &checkpoints), HasCode(absl::StatusCode::kAborted));
    checkpoints.Allow(1'000'000);
    const auto resumed = Quantize(golden, GetParam(), &checkpoints);
    ASSERT_THAT(resumed, IsOk());
    EXPECT_EQ(resumed->artifact, whole->artifact);
    EXPECT_EQ(checkpoints.saves, stages - end) << "only the stage that was not saved is done again";
  }
}

TEST_P(Resume, SeveralTimesInARow) {
  StoredGolden golden(kModel);
  const auto whole = Quantize(golden, GetParam(), nullptr);
  ASSERT_THAT(whole, IsOk());
  Checkpoints checkpoints;
  absl::StatusOr<QuantizeResult> result = absl::AbortedError("not yet");
  int attempts = 0;
  while (absl::IsAborted(result.status()) && ++attempts < 100) {
    checkpoints.Allow(1);
    result = Quantize(golden, GetParam(), &checkpoints);
  }
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->artifact, whole->artifact);
}

INSTANTIATE_TEST_SUITE_P(Recipes, Resume,
                         ::testing::Values(Tiny(Method::kGwq), Tiny(Method::kGptq), Tiny(Method::kSpqr), Mixed()),
                         [](const auto& which) {
                           return std::string(which.param.rules.empty() ? "" : "mixed_") +
                                  std::string(EnumText(which.param.method));
                         });

TEST(ResumeTest, ACheckpointThatIsDamagedIsNotUsed) {
  StoredGolden golden(kModel);
  class Damaged final : public CheckpointSlot {
   public:
    explicit Damaged(std::string state) : state_(std::move(state)) {}
    absl::StatusOr<std::optional<Checkpoint>> Load() override { return Checkpoint{state_, {}}; }
    absl::Status Save(const Checkpoint&) override { return absl::OkStatus(); }

   private:
    const std::string state_;
  };
  for (const char* const state : {"{}", "[]", R"({"producer":1})", R"({"producer":"p","step":"blocks","packed":[]})",
                                  R"({"producer":"p","step":"blocks","packed":{},"samples":[["a"]]})",
                                  R"({"producer":"p","step":"blocks","packed":{},"loss":"big"})"}) {
    Damaged damaged(state);
    EXPECT_THAT(QuantizeModel(golden.store(), golden.digest(), Tiny(Method::kGptq), NoProgress(), {}, &damaged),
                HasCode(absl::StatusCode::kDataLoss))
        << state;
  }
  Damaged other(R"({"producer":"another","step":"blocks","packed":{}})");
  const auto again = QuantizeModel(golden.store(), golden.digest(), Tiny(Method::kGptq), NoProgress(), {}, &other);
  ASSERT_THAT(again, IsOk()) << "another worker's is set aside";
  EXPECT_EQ(again->artifact, Quantize(golden, Tiny(Method::kGptq), nullptr)->artifact);
}

}  // namespace
}  // namespace gwq
