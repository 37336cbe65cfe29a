// A job that is ended after any stage goes on from its checkpoint: the same artifact, and no more than one stage twice.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <vector>

#include "core/artifact/stored_model.h"
#include "core/quant/job/quantize.h"
#include "core/quant/plan.h"
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

  [[nodiscard]] const Checkpoint& last() const { return *last_; }
  void Put(const Checkpoint& checkpoint) { last_ = checkpoint; }
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
  recipe.tuned = {.outlier_ratio = 0.05, .metric_samples = 2, .block_steps = 3, .model_steps = 4, .text_share = 0.125};
  recipe.threads = 1;
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text = "w1 w5 w9 w33 w2 w40 w41 w7 w63 w12 w12 w3 w8 w4 w6 w30 w31 w32 w20 w21 w22 w23 w24 w25";
  recipe.calibration.samples = 3;
  return recipe;
}

// Each walk that there is, for another block, one module kept.
Recipe EveryWalk() {
  Recipe recipe = Tiny(Method::kTuned);
  recipe.rules = {{.pattern = "model.layers.0.*.q_proj", .part = "", .kind = "", .method = Method::kGptq},
                  {.pattern = "model.layers.1.*.o_proj", .part = "", .kind = "", .method = Method::kGwq},
                  {.pattern = "*.up_proj", .part = "", .kind = "", .method = Method::kKeep}};
  return recipe;
}

// Bits by a target, one matrix by a rule.
Recipe Targeted(Method method) {
  Recipe recipe = Tiny(method);
  recipe.target = {.bits = 6.5, .samples = 2};
  recipe.rules = {{.pattern = "model.layers.0.*.q_proj", .part = "", .kind = "", .method = {}, .bits = 4}};
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

std::string WithoutPhases(const QuantizeResult& result) {
  nlohmann::json report = nlohmann::json::parse(result.report_json);
  report.erase("phases");
  return report.dump();
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
    EXPECT_EQ(WithoutPhases(*resumed), WithoutPhases(*whole)) << "the report is that of one attempt";
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

// Removes what gwq-jobs would, and remembers the most that the states took.
class Measuring final : public CheckpointSlot {
 public:
  explicit Measuring(BlobStore& store) : store_(store) {}
  absl::StatusOr<std::optional<Checkpoint>> Load() override { return std::nullopt; }
  absl::Status Save(const Checkpoint& checkpoint) override {
    std::set<Digest> both(last_.begin(), last_.end());
    both.insert(checkpoint.scratch.begin(), checkpoint.scratch.end());
    uint64_t bytes = 0;
    for (const Digest& blob : both) bytes += store_.Stat(blob)->size;
    most = std::max(most, bytes);
    for (const Digest& blob : last_) {
      if (std::ranges::find(checkpoint.scratch, blob) == checkpoint.scratch.end()) store_.Remove(blob).IgnoreError();
    }
    last_ = checkpoint.scratch;
    return absl::OkStatus();
  }
  uint64_t most = 0;

 private:
  BlobStore& store_;
  std::vector<Digest> last_;
};

TEST_P(Resume, StatesOnTheDiskStayWithinThePlan) {
  StoredGolden golden(kModel);
  const auto model = *StoredModel::Open(golden.store(), golden.digest());
  const Plan plan = *PlanQuantization(*model->model(), model->manifest(), GetParam());
  Measuring measuring(golden.store());
  const auto made = QuantizeModel(golden.store(), golden.digest(), GetParam(), NoProgress(), {}, &measuring);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->artifact, Quantize(golden, GetParam(), nullptr)->artifact);
  EXPECT_GT(measuring.most, 0U);
  EXPECT_LE(measuring.most, plan.scratch_disk_bytes);
}

INSTANTIATE_TEST_SUITE_P(Recipes, Resume,
                         ::testing::Values(Tiny(Method::kGwq), Tiny(Method::kGptq), Tiny(Method::kSpqr),
                                           Tiny(Method::kTuned), Mixed(), EveryWalk(), Targeted(Method::kGwq),
                                           Targeted(Method::kGptq), Targeted(Method::kTuned), Targeted(Method::kRtn)),
                         [](const auto& which) {
                           const bool target = which.param.target.given();
                           return std::string(target                      ? "target_"
                                              : which.param.rules.empty() ? ""
                                                                          : "mixed_") +
                                  std::string(EnumText(which.param.method));
                         });

class ResumeTest : public ::testing::Test {
 protected:
  // What an attempt of two stages left.
  Checkpoint Left() {
    Checkpoints checkpoints;
    checkpoints.Allow(2);
    EXPECT_THAT(Quantize(golden_, recipe_, &checkpoints), HasCode(absl::StatusCode::kAborted));
    return checkpoints.last();
  }
  // Goes on from `checkpoint` to the end.
  void ExpectStartsAgain(const Checkpoint& checkpoint) {
    Checkpoints checkpoints;
    checkpoints.Put(checkpoint);
    const auto made = Quantize(golden_, recipe_, &checkpoints);
    ASSERT_THAT(made, IsOk());
    EXPECT_EQ(made->artifact, Quantize(golden_, recipe_, nullptr)->artifact);
    EXPECT_EQ(checkpoints.saves, stages());
  }
  int stages() {
    Checkpoints counting;
    EXPECT_THAT(Quantize(golden_, recipe_, &counting), IsOk());
    return counting.saves;
  }

  StoredGolden golden_{kModel};
  const Recipe recipe_ = Tiny(Method::kGptq);
};

TEST_F(ResumeTest, StartsAgainWhereTheCheckpointIsMalformed) {
  const Checkpoint left = Left();
  const auto state = nlohmann::json::parse(left.state);
  for (const auto& [key, value] : std::vector<std::pair<const char*, nlohmann::json>>{
           {"version", 1},
           {"producer", "another"},
           {"packed", nlohmann::json::array()},
           {"packed", {{"no such tensor", 1}}},
           {"samples", {"a"}},
           {"samples", "no digest"},
           {"loss", "big"},
           {"step", "gradients"},
           {"walk", {{"phase", "blocks"}}},
           {"walk", {{"phase", "blocks"}, {"stage", 1}, {"loss", 0}, {"states", {{"full", Sha256Of("x").Hex()}}}}}}) {
    SCOPED_TRACE(key + value.dump());
    nlohmann::json changed = state;
    changed[key] = value;
    ExpectStartsAgain({changed.dump(), left.blobs, left.scratch});
  }
}

TEST_F(ResumeTest, StartsAgainWhereAStateIsGone) {
  const Checkpoint left = Left();
  ASSERT_FALSE(left.scratch.empty());
  ASSERT_THAT(golden_.store().Remove(left.scratch[0]), IsOk());
  ExpectStartsAgain(left);
}

TEST_F(ResumeTest, StartsAgainWhereAPackedMatrixIsGone) {
  const Checkpoint left = Left();
  ASSERT_FALSE(left.blobs.empty());
  ASSERT_THAT(golden_.store().Remove(left.blobs[0]), IsOk());
  ExpectStartsAgain(left);
}

TEST_F(ResumeTest, StartsAgainWhereAPackedMatrixIsDamaged) {
  const Checkpoint left = Left();
  ASSERT_FALSE(left.blobs.empty());
  std::fstream file(golden_.BlobPath(left.blobs[0]), std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const int last = file.peek();
  file.seekp(-1, std::ios::end).put(static_cast<char>(last ^ 1));
  file.close();
  ExpectStartsAgain(left);
}

TEST_F(ResumeTest, StartsAgainWhereAStateIsDamaged) {
  const Checkpoint left = Left();
  // Of two blobs one stands in the other's place.
  ASSERT_GE(left.scratch.size(), 2U);
  std::filesystem::copy_file(golden_.BlobPath(left.scratch[0]), golden_.BlobPath(left.scratch[1]),
                             std::filesystem::copy_options::overwrite_existing);
  ExpectStartsAgain(left);
}

}  // namespace
}  // namespace gwq
