// A golden model with samples and a blob store, for tests of walks.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/clock.h"
#include "core/base/progress.h"
#include "core/calibration/stage_runner.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/golden_model.h"
#include "tests/support/golden_prompt.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::testing {

// Keeps the steps of one phase, and stops the work before its check number `checks`.
class WatchedProgress final : public Progress {
 public:
  explicit WatchedProgress(std::string phase, int checks = 1 << 30) : phase_(std::move(phase)), checks_(checks) {}
  void Step(std::string_view phase, int64_t done, int64_t total) override {
    if (phase == phase_) steps_.emplace_back(done, total);
  }
  void Log(std::string_view) override {}
  [[nodiscard]] absl::Status Check() override {
    return checks_-- > 0 ? absl::OkStatus() : absl::CancelledError("stopped by the test");
  }
  [[nodiscard]] const std::vector<std::pair<int64_t, int64_t>>& steps() const { return steps_; }

 private:
  const std::string phase_;
  int checks_;
  std::vector<std::pair<int64_t, int64_t>> steps_;
};

// What a walk needs, anew for each walk.
class WalkFixture {
 public:
  WalkFixture(const std::string& model, SampleSet samples) : samples_(std::move(samples)) {
    auto golden = GoldenModel::Load(model);
    EXPECT_THAT(golden, IsOk());
    golden_ = *std::move(golden);
    auto store = OpenLocalBlobStore(LocalFileSystem(), folder_.path(), SystemClock());
    EXPECT_THAT(store, IsOk());
    store_ = *std::move(store);
    Renew();
  }

  // As in another process: nothing of an earlier walk is left but the blob store.
  void Renew() {
    runner_.reset();
    loader_.reset();
    backend_ = TorchBackend::Create({1}).value();
    loader_ = std::make_unique<FilesWeightLoader>(*backend_, golden_.weights);
    auto runner = StageRunner::Create(*golden_.model, *loader_, *backend_, samples_);
    EXPECT_THAT(runner, IsOk());
    runner_ = *std::move(runner);
  }

  [[nodiscard]] StageRunner& runner() { return *runner_; }
  [[nodiscard]] const Model& model() const { return *golden_.model; }
  [[nodiscard]] const GoldenModel& golden() const { return golden_; }
  [[nodiscard]] BlobStore& store() { return *store_; }

 private:
  const SampleSet samples_;
  TempFolder folder_;
  GoldenModel golden_;
  std::unique_ptr<BlobStore> store_;
  std::unique_ptr<TorchBackend> backend_;
  std::unique_ptr<FilesWeightLoader> loader_;
  std::unique_ptr<StageRunner> runner_;
};

[[nodiscard]] inline SampleSet TextSamples() {
  return {{{1, 5, 9, 33, 2, 40, 41, 7}, {}, {}, {}}, {{63, 12, 3}, {}, {}, {}}, {{8, 8, 20, 30, 10, 11}, {}, {}, {}}};
}

// A prompt with images, and a text without any.
[[nodiscard]] inline SampleSet PictureSamples(const std::string& model) {
  const auto golden = GoldenModel::Load(model);
  EXPECT_THAT(golden, IsOk());
  const GoldenPrompt prompt = LoadGoldenPrompt(*golden, "b");
  return {{{9, 8, 7, 6}, {}, {}, {}}, {prompt.tokens, prompt.positions, prompt.tiles(), prompt.patches}};
}

}  // namespace gwq::testing
