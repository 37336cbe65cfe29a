// Sweeps on a tiny model: the artifacts of the same quantizations, from one gradient pass, whatever ends the attempts.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/base/status.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"
#include "core/jobs/runners/job_runners.h"
#include "core/manifest/manifest.h"
#include "core/quant/job/quantize.h"
#include "tests/support/memory_pass_cache.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stored_golden.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::MemoryPassCache;
using ::testing::SizeIs;
using testing::StoredGolden;

// Ends an attempt where it would save once more than it may.
class Slot final : public CheckpointSlot {
 public:
  absl::StatusOr<std::optional<Checkpoint>> Load() override { return last; }
  absl::Status Save(const Checkpoint& checkpoint) override {
    if (left == 0) return absl::AbortedError("the attempt ends here");
    --left;
    last = checkpoint;
    return absl::OkStatus();
  }
  int left = 1'000'000;
  std::optional<Checkpoint> last;
};

class Phases final : public Progress {
 public:
  void Step(std::string_view phase, int64_t, int64_t) override { ++steps[std::string(phase)]; }
  void Log(std::string_view) override {}
  absl::Status Check() override { return cancelled ? absl::CancelledError("cancelled") : absl::OkStatus(); }
  std::map<std::string, int> steps;
  bool cancelled = false;
};

class SweepTest : public ::testing::Test {
 protected:
  SweepTest() {
    job_.base.model = "tiny";
    job_.base.artifact_id = "small";
    job_.base.source = golden_.digest();
    Recipe& recipe = job_.base.recipe;
    recipe.method = Method::kRtn;
    recipe.group_size = 16;
    recipe.threads = 1;
    recipe.calibration.source = CalibrationSource::kText;
    recipe.calibration.text = "w1 w5 w9 w33 w2 w40 w41 w7 w63 w12 w12 w3 w8 w4 w6 w30 w31 w32 w20 w21 w22 w23 w24 w25";
    recipe.calibration.samples = 2;
    EvaluationTask& text = job_.base.evaluations.emplace_back();
    text.text = "w1 w2 w3 w4 w5 w6 w7 w8 w9";
    text.tokens = 8;
    text.window = 4;
    text.threads = 1;
    job_.points = {R"({"target":{"bits":6}})", R"({"target":{"bits":7}})", R"({"bits":4,"target":null})"};
  }

  absl::StatusOr<JobOutput> Run(CheckpointSlot& slot, PassCache& passes, Progress& progress = NoProgress()) {
    for (const JobRunner& runner : JobRunners()) {
      if (runner.kind != SweepJob::kKind) continue;
      const std::string spec = job_.Json();
      return runner.run({.store = golden_.store(),
                         .spec_json = spec,
                         .progress = progress,
                         .checkpoints = slot,
                         .passes = passes,
                         .publish = [this](const std::string& id, const JobOutput& part) {
                           published_[id] = part.manifest;
                           return absl::OkStatus();
                         }});
    }
    return absl::NotFoundError("no runner");
  }
  // What a quantization of its own makes of a point.
  Digest Alone(size_t index) {
    const QuantizeJob point = *job_.Point(index);
    return QuantizeModel(golden_.store(), point.source, point.recipe, NoProgress())->artifact;
  }
  void ExpectAllPublished() {
    EXPECT_THAT(published_, SizeIs(3));
    EXPECT_EQ(published_["small-6"], Alone(0));
    EXPECT_EQ(published_["small-7"], Alone(1));
    EXPECT_EQ(published_["small-rtn-4b-g16"], Alone(2));
  }

  StoredGolden golden_{"llama-tied-f16-v4"};
  SweepJob job_;
  std::map<std::string, Digest> published_;
};

TEST_F(SweepTest, MakesTheArtifactsOfItsQuantizationsFromOnePass) {
  Slot slot;
  MemoryPassCache passes;
  Phases phases;
  const auto made = Run(slot, passes, phases);
  ASSERT_THAT(made, IsOk());
  ExpectAllPublished();
  EXPECT_EQ(made->passes.run, 1);
  EXPECT_EQ(made->passes.reused, 1);
  EXPECT_TRUE(phases.steps.contains("6 (1 of 3): backward"));
  EXPECT_FALSE(phases.steps.contains("7 (2 of 3): backward"));
  EXPECT_EQ(made->kind, "evaluation");
  const auto report = nlohmann::json::parse(made->report_json);
  ASSERT_EQ(report["points"].size(), 3U);
  for (const auto& point : report["points"]) {
    EXPECT_EQ(published_[point["artifact"]].Hex(), point["digest"]);
    EXPECT_GT(point["metrics"].size(), 1U);
    EXPECT_GT(point["tokens_per_second"], 0);
  }
  EXPECT_EQ(report["loss"]["name"], "mean_kl");
  const auto manifest = ParseManifest(*ReadBlob(golden_.store(), made->manifest, 1 << 20));
  ASSERT_THAT(manifest, IsOk());
  EXPECT_THAT(manifest->files, SizeIs(3));
}

TEST_F(SweepTest, APassThatTheServiceHasNoRoomForStaysWithTheSweep) {
  Slot slot;
  MemoryPassCache none(0);
  const auto made = Run(slot, none);
  ASSERT_THAT(made, IsOk());
  EXPECT_TRUE(none.records.empty());
  EXPECT_EQ(made->passes.run, 1);
  EXPECT_FALSE(slot.last->scratch.empty()) << "the service removes it with the sweep's last checkpoint";
}

TEST_F(SweepTest, GoesOnAfterEveryEndOfAnAttemptWithTheSameArtifacts) {
  Slot counting;
  MemoryPassCache none(0);
  ASSERT_THAT(Run(counting, none), IsOk());
  const int saves = 1'000'000 - counting.left;
  for (int end = 0; end < saves; ++end) {
    SCOPED_TRACE(end);
    published_.clear();
    Slot slot;
    slot.left = end;
    ASSERT_THAT(Run(slot, none), HasCode(absl::StatusCode::kAborted));
    slot.left = saves - end;
    const auto made = Run(slot, none);
    ASSERT_THAT(made, IsOk()) << "no more is done again than what was not saved";
    EXPECT_EQ(made->passes.run, 1);
    ExpectAllPublished();
  }
}

TEST_F(SweepTest, StartsAgainWhereItsCheckpointIsMalformed) {
  for (const char* const state : {"{}", "[]", R"({"version":1,"rows":[{}],"kept":[],"passes":[0,0],"point":""})",
                                  R"({"version":1,"rows":[],"kept":[{"what":1}],"passes":[0,0],"point":""})"}) {
    SCOPED_TRACE(state);
    published_.clear();
    Slot slot;
    slot.last = Checkpoint{state, {}, {}};
    MemoryPassCache passes;
    ASSERT_THAT(Run(slot, passes), IsOk());
    EXPECT_THAT(published_, SizeIs(3));
  }
}

TEST_F(SweepTest, EndsWhenItIsCancelled) {
  Slot slot;
  MemoryPassCache passes;
  Phases phases;
  phases.cancelled = true;
  EXPECT_THAT(Run(slot, passes, phases), HasCode(absl::StatusCode::kCancelled));
  EXPECT_TRUE(published_.empty());
}

TEST_F(SweepTest, EveryPointIsPlannedAndAnErrorNamesIt) {
  MemoryPassCache passes;
  const auto plan = job_.MakePlan(golden_.store(), passes);
  ASSERT_THAT(plan, IsOk());
  uint64_t bytes = 0;
  for (size_t i = 0; i < 3; ++i) bytes += job_.Point(i)->MakePlan(golden_.store(), passes)->total_bytes;
  EXPECT_EQ(plan->total_bytes, bytes);
  job_.points[1] = R"({"target":{"bits":1.5}})";
  EXPECT_THAT(job_.MakePlan(golden_.store(), passes).status(), FailsAt("sweep.targets[1]"));
  job_.points[1] = R"({"target":{"bits":7}})";
  job_.base.recipe.rules = {{.pattern = "no such module", .part = "", .kind = "", .bits = 4}};
  EXPECT_THAT(job_.MakePlan(golden_.store(), passes).status().message(), HasSubstr("sweep.recipe.rules[0]"));
}

TEST_F(SweepTest, WhatCannotBeIsRefused) {
  EXPECT_THAT(job_.Check(), IsOk());
  SweepJob bad = job_;
  bad.points.clear();
  EXPECT_THAT(bad.Check(), FailsAt("sweep.targets"));
  bad.points.assign(33, job_.points[0]);
  EXPECT_THAT(bad.Check(), FailsAt("sweep.targets"));
  bad.points = {job_.points[0], job_.points[0]};
  EXPECT_THAT(bad.Check(), FailsAt("sweep.targets[1]"));
  bad.points = {job_.points[0], R"({"bits":9,"target":null})"};
  EXPECT_THAT(bad.Check(), FailsAt("sweep.points[0]"));
  bad = job_;
  bad.base.recipe.target.bits = 4;
  EXPECT_THAT(bad.Check(), FailsAt("sweep.recipe.target"));
  bad = job_;
  bad.base.artifact_id = std::string(60, 'a');
  EXPECT_THAT(bad.Check(), FailsAt("sweep.name"));
}

}  // namespace
}  // namespace gwq
