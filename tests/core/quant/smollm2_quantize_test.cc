// The job on SmolLM2-135M-Instruct: the same digest whatever else the machine does, within the planned memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/quant/job/quantize.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/report_metrics.h"
#include "tests/support/smollm2_import.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::IsOk;

// Keeps as many processors busy as there are.
class Load {
 public:
  Load() {
    for (unsigned i = 0; i < std::max(1U, std::thread::hardware_concurrency()); ++i) {
      threads_.emplace_back([this] {
        while (!stop_.load(std::memory_order_relaxed)) turns_.fetch_add(1, std::memory_order_relaxed);
      });
    }
  }
  ~Load() {
    stop_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> turns_{0};
  std::vector<std::thread> threads_;
};

TEST(SmolLm2Quantize, SameDigestUnderLoadAndWithinThePlannedMemory) {
  testing::TempFolder folder;
  const auto store = OpenLocalBlobStore(LocalFileSystem(), folder.path(), SystemClock());
  ASSERT_THAT(store, IsOk());
  const auto source = testing::ImportSmolLm2(**store);
  ASSERT_THAT(source, IsOk());
  Recipe recipe;
  recipe.bits = 3;
  recipe.gwq.loss = Loss::kAll;
  recipe.calibration.source = CalibrationSource::kText;
  recipe.calibration.text =
      "The lighthouse at the end of the peninsula had been automatic for thirty years, but somebody still had to climb "
      "the stairs twice a month and look at the lamp.";
  const auto quiet = QuantizeModel(**store, *source, recipe, NoProgress());
  ASSERT_THAT(quiet, IsOk());
  const EvaluationTask text{.tokens = 128, .window = 64};
  const auto loaded = [&] {
    const Load load;
    return QuantizeModel(**store, *source, recipe, NoProgress(), {text});
  }();
  ASSERT_THAT(loaded, IsOk());
  EXPECT_EQ(quiet->artifact, loaded->artifact);

  const auto report = nlohmann::json::parse(loaded->report_json);
  EXPECT_EQ(report["phases"].size(), 4U);
  for (const auto& phase : report["phases"]) {
    EXPECT_GT(phase["peak_memory_bytes"], 0U) << phase["name"];
    EXPECT_LE(phase["peak_memory_bytes"], report["planned_memory_bytes"]) << phase["name"];
  }
  EXPECT_LT(report["matrix_bits_per_weight"], 3.6);
  const testing::ReportMetrics metrics(report, 0);
  EXPECT_LT(metrics.After("mean_kl"), 2.0);
  EXPECT_GT(metrics.After("same_top1"), 0.3);
}

}  // namespace
}  // namespace gwq
