// A job that reuses an earlier job's gradient passes makes the same artifact, and runs none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "core/artifact/stored_model.h"
#include "core/quant/job/quantize.h"
#include "core/quant/pass_keys.h"
#include "core/spec/recipe_names.h"
#include "tests/support/memory_pass_cache.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using ::testing::Contains;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::MemoryPassCache;
using ::testing::Not;
using testing::StoredGolden;

constexpr char kModel[] = "llama-tied-f16-v4";

// Counts the phases that are gradient walks and keeps the log.
class Watching final : public Progress {
 public:
  void Step(std::string_view phase, int64_t, int64_t) override { backward += phase == "backward" ? 1 : 0; }
  void Log(std::string_view line) override { log.emplace_back(line); }
  absl::Status Check() override { return absl::OkStatus(); }
  int backward = 0;
  std::vector<std::string> log;
};

Recipe Tiny(Method method) {
  Recipe recipe;
  recipe.method = method;
  recipe.bits = 3;
  recipe.group_size = 16;
  recipe.gwq.outlier_ratio = 0.05;
  recipe.spqr.outlier_ratio = 0.05;
  recipe.tuned = {.outlier_ratio = 0.05, .metric_samples = 2, .block_steps = 3, .model_steps = 4};
  recipe.threads = 1;
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text = "w1 w5 w9 w33 w2 w40 w41 w7 w63 w12 w12 w3 w8 w4 w6 w30 w31 w32 w20 w21 w22 w23 w24 w25";
  recipe.calibration.samples = 3;
  return recipe;
}

Recipe Targeted(Method method, double bits = 6.5) {
  Recipe recipe = Tiny(method);
  recipe.target = {.bits = bits, .samples = 2};
  return recipe;
}

// -1 if the report has none.
double JaccardOf(const QuantizeResult& made) {
  return nlohmann::json::parse(made.report_json).value("mask_jaccard", -1.0);
}

class KeptPassesTest : public ::testing::Test {
 protected:
  QuantizeResult Make(const Recipe& recipe, PassCache* cache, Progress& progress = NoProgress()) {
    auto made = QuantizeModel(golden_.store(), golden_.digest(), recipe, progress, {}, nullptr, cache);
    EXPECT_THAT(made, IsOk());
    return made.ok() ? *std::move(made) : QuantizeResult();
  }
  void Damage(const Digest& blob) {
    std::fstream file(golden_.BlobPath(blob), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(-1, std::ios::end);
    const int last = file.peek();
    file.seekp(-1, std::ios::end).put(static_cast<char>(last ^ 1));
  }

  StoredGolden golden_{kModel};
  MemoryPassCache cache_;
};

class EveryPass : public KeptPassesTest, public ::testing::WithParamInterface<Recipe> {};

TEST_P(EveryPass, IsRunOnceForTwoJobsWithTheSameArtifact) {
  const QuantizeResult alone = Make(GetParam(), nullptr);
  EXPECT_GE(alone.passes.run, 1);
  EXPECT_EQ(alone.passes.reused, 0);
  const QuantizeResult first = Make(GetParam(), &cache_);
  EXPECT_EQ(first.passes.run, alone.passes.run);
  Watching watching;
  const QuantizeResult second = Make(GetParam(), &cache_, watching);
  EXPECT_EQ(second.passes.run, 0);
  EXPECT_EQ(second.passes.reused, alone.passes.run);
  EXPECT_EQ(watching.backward, 0);
  EXPECT_THAT(watching.log, Contains("backward passes: 0 (reused)"));
  EXPECT_EQ(nlohmann::json::parse(second.report_json)["backward_passes"]["reused"], second.passes.reused);
  EXPECT_THAT(second.report_markdown, HasSubstr("backward passes: 0 (reused)"));
  EXPECT_EQ(first.artifact, alone.artifact);
  EXPECT_EQ(second.artifact, alone.artifact);
  EXPECT_EQ(JaccardOf(second), JaccardOf(alone));
}

TEST_P(EveryPass, IsRunAgainWhereAnyBlobIsDamagedOrGone) {
  const QuantizeResult first = Make(GetParam(), &cache_);
  const MemoryPassCache::Records kept = cache_.records;
  for (const auto& [key, record] : kept) {
    for (const bool gone : {false, true}) {
      SCOPED_TRACE(record.state.substr(0, 40) + (gone ? " gone" : " damaged"));
      Make(GetParam(), &cache_);  // what the round before damaged is there again
      const Digest blob = cache_.records[key].scratch.back();
      if (gone) {
        ASSERT_THAT(golden_.store().Remove(blob), IsOk());
      } else {
        Damage(blob);
      }
      Watching watching;
      const QuantizeResult again = Make(GetParam(), &cache_, watching);
      EXPECT_EQ(again.artifact, first.artifact);
      EXPECT_GE(again.passes.run, 1);
      EXPECT_THAT(watching.log, Contains(HasSubstr("cannot be used")));
      EXPECT_EQ(Make(GetParam(), &cache_).passes.run, 0) << "the pass that was run again is kept";
    }
  }
}

TEST_P(EveryPass, IsRunAgainWhereTheRecordIsMalformed) {
  const QuantizeResult first = Make(GetParam(), &cache_);
  const MemoryPassCache::Records kept = cache_.records;
  for (const char* const state : {"{}", "[]", R"({"metrics":{"x":1}})", R"({"gradients":{"a":"b"},"loss":"c"})"}) {
    SCOPED_TRACE(state);
    cache_.records = kept;
    for (auto& [key, record] : cache_.records) record = {state, {}, {}};
    const QuantizeResult again = Make(GetParam(), &cache_);
    EXPECT_EQ(again.artifact, first.artifact);
    EXPECT_EQ(again.passes.run, first.passes.run);
  }
}

INSTANTIATE_TEST_SUITE_P(Recipes, EveryPass,
                         ::testing::Values(Tiny(Method::kGwq), Tiny(Method::kTuned), Targeted(Method::kGwq),
                                           Targeted(Method::kTuned), Targeted(Method::kRtn)),
                         [](const auto& which) {
                           return std::string(which.param.target.given() ? "target_" : "") +
                                  std::string(EnumText(which.param.method));
                         });

TEST_F(KeptPassesTest, OnlyAWalkOverSeveralSamplesTellsHowItsHalvesDiffer) {
  Recipe recipe = Tiny(Method::kGwq);
  const double several = JaccardOf(Make(recipe, nullptr));
  EXPECT_GT(several, 0);
  EXPECT_LT(several, 1);
  recipe.calibration.samples = 1;
  EXPECT_EQ(JaccardOf(Make(recipe, nullptr)), -1);
  EXPECT_EQ(JaccardOf(Make(Targeted(Method::kTuned), nullptr)), -1);
}

TEST_F(KeptPassesTest, OtherTargetsTakeTheSamePass) {
  const QuantizeResult other = Make(Targeted(Method::kTuned, 6), nullptr);
  Make(Targeted(Method::kTuned, 6.5), &cache_);
  const QuantizeResult second = Make(Targeted(Method::kTuned, 6), &cache_);
  EXPECT_EQ(second.passes.run, 0);
  EXPECT_EQ(second.artifact, other.artifact);
}

TEST_F(KeptPassesTest, WhatChangesThePassIsAnotherPass) {
  Make(Targeted(Method::kRtn), &cache_);
  std::vector<Recipe> others(6, Targeted(Method::kRtn));
  others[0].seed = 1;
  others[1].calibration.text += " w1";
  others[2].calibration.samples = 2;
  others[3].calibration.max_tokens = 5;
  others[4].threads = 2;
  others[5].target.samples = 3;
  for (size_t i = 0; i < others.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_EQ(Make(others[i], &cache_).passes.run, 1);
    EXPECT_EQ(Make(others[i], &cache_).passes.run, 0);
  }
}

TEST_F(KeptPassesTest, WhatDoesNotFitIsNotKept) {
  MemoryPassCache small(100);
  Make(Tiny(Method::kGwq), &small);
  Make(Tiny(Method::kTuned), &small);
  EXPECT_TRUE(small.records.empty());
  MemoryPassCache none(0);
  Make(Targeted(Method::kRtn), &none);
  EXPECT_TRUE(none.records.empty());
}

TEST_F(KeptPassesTest, AJobThatCannotKeepItsPassGoesOn) {
  cache_.answer = absl::UnavailableError("no answer");
  Watching watching;
  EXPECT_EQ(Make(Tiny(Method::kGwq), &cache_, watching).artifact, Make(Tiny(Method::kGwq), nullptr).artifact);
  EXPECT_THAT(watching.log, Contains(HasSubstr("was not kept: no answer")));
  cache_.answer = absl::AbortedError("the lease is over");
  EXPECT_THAT(
      QuantizeModel(golden_.store(), golden_.digest(), Tiny(Method::kTuned), NoProgress(), {}, nullptr, &cache_),
      HasCode(absl::StatusCode::kAborted));
}

TEST_F(KeptPassesTest, LossesAreReadBackAsTheyWereForAPlan) {
  Make(Targeted(Method::kRtn), &cache_);
  ASSERT_EQ(cache_.records.size(), 1U);
  const Checkpoint record = cache_.records.begin()->second;
  const auto model = *StoredModel::Open(golden_.store(), golden_.digest());
  Plan plan = *PlanQuantization(*model->model(), model->manifest(), Targeted(Method::kRtn));
  const auto losses = ReadLosses(golden_.store(), record, plan);
  ASSERT_THAT(losses, IsOk());
  EXPECT_EQ(LossesKey(golden_.digest(), Targeted(Method::kRtn), plan, "").what.Hex(),
            cache_.records.begin()->first.first);
  const QuantizeResult made = Make(Targeted(Method::kRtn), &cache_);
  DivideTarget(Targeted(Method::kRtn), *losses, plan);
  EXPECT_EQ(nlohmann::json::parse(made.report_json)["total_bytes"], plan.total_bytes);
}

// Ends an attempt at each save, and remembers what the last one saved.
class Slot final : public CheckpointSlot {
 public:
  absl::StatusOr<std::optional<Checkpoint>> Load() override { return last_; }
  absl::Status Save(const Checkpoint& checkpoint) override {
    if (left == 0) return absl::AbortedError("the attempt ends here");
    --left;
    last_ = checkpoint;
    return absl::OkStatus();
  }
  int left = 0;

 private:
  std::optional<Checkpoint> last_;
};

TEST_F(KeptPassesTest, AJobInManyAttemptsKeepsAndCountsItsPassesOnce) {
  for (const Recipe& recipe : {Tiny(Method::kGwq), Targeted(Method::kTuned), Targeted(Method::kGwq)}) {
    SCOPED_TRACE(EnumText(recipe.method));
    MemoryPassCache cache;
    Slot slot;
    absl::StatusOr<QuantizeResult> made = absl::AbortedError("not yet");
    int attempts = 0;
    while (absl::IsAborted(made.status()) && ++attempts < 100) {
      slot.left = 1;
      made = QuantizeModel(golden_.store(), golden_.digest(), recipe, NoProgress(), {}, &slot, &cache);
    }
    ASSERT_THAT(made, IsOk());
    const QuantizeResult alone = Make(recipe, nullptr);
    EXPECT_EQ(made->artifact, alone.artifact);
    EXPECT_EQ(JaccardOf(*made), JaccardOf(alone));
    EXPECT_EQ(made->passes.run + made->passes.reused, alone.passes.run);
    EXPECT_EQ(Make(recipe, &cache).passes.run, 0);
  }
}

TEST_F(KeptPassesTest, AJobThatGoesOnFromACheckpointNeedsNoRecordAnyMore) {
  const Recipe recipe = Targeted(Method::kTuned);
  const QuantizeResult first = Make(recipe, &cache_);
  Slot slot;
  slot.left = 2;
  ASSERT_THAT(QuantizeModel(golden_.store(), golden_.digest(), recipe, NoProgress(), {}, &slot, &cache_),
              HasCode(absl::StatusCode::kAborted));
  for (const auto& [key, record] : cache_.records) {
    for (const Digest& blob : record.scratch) ASSERT_THAT(golden_.store().Remove(blob), IsOk());
  }
  slot.left = 1000;
  const auto made = QuantizeModel(golden_.store(), golden_.digest(), recipe, NoProgress(), {}, &slot, &cache_);
  ASSERT_THAT(made, IsOk());
  EXPECT_EQ(made->artifact, first.artifact);
  EXPECT_EQ(made->passes.run, 0);
}

}  // namespace
}  // namespace gwq
