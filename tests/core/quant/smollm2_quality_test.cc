// What each method makes of SmolLM2-135M-Instruct at 3 bits: a change of a method that costs accuracy is seen here.
//
// Calibrated on the licence's text and measured on the text that ships, both of which never change. The recorded
// figures are those of November 2026 on AVX2; other instruction sets give others by less than a thousandth.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "core/quant/job/quantize.h"
#include "core/spec/recipe_names.h"
#include "core/storage/local_blob_store.h"
#include "tests/support/report_metrics.h"
#include "tests/support/smollm2_import.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq {
namespace {

using testing::IsOk;

constexpr double kFullPrecision = 25.734;
// Share by which a perplexity may be larger or smaller than the recorded one.
constexpr double kTolerance = 0.02;

struct Recorded {
  Method method;
  double perplexity;
  double bits;
};
constexpr Recorded kRecorded[] = {{Method::kRtn, 72.863, 3.3364},
                                  {Method::kGwq, 49.872, 3.5774},
                                  {Method::kGptq, 59.007, 3.3364},
                                  {Method::kSpqr, 45.684, 3.5774},
                                  {Method::kTuned, 40.608, 3.3364}};

std::string Licence() {
  std::ifstream file(std::string(std::getenv("GWQ_SOURCE_DIR")) + "/LICENSE");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(SmolLm2Quality, EachMethodIsAsGoodAsRecorded) {
  testing::TempFolder folder;
  const auto store = OpenLocalBlobStore(LocalFileSystem(), folder.path(), SystemClock());
  ASSERT_THAT(store, IsOk());
  const auto source = testing::ImportSmolLm2(**store);
  ASSERT_THAT(source, IsOk());
  for (const Recorded& recorded : kRecorded) {
    SCOPED_TRACE(EnumText(recorded.method));
    Recipe recipe;
    recipe.method = recorded.method;
    recipe.bits = 3;
    recipe.gwq.loss = Loss::kAll;
    recipe.tuned = {.metric_samples = 2, .block_steps = 6, .model_steps = 4};
    recipe.calibration.source = CalibrationSource::kText;
    recipe.calibration.text = Licence();
    recipe.calibration.max_tokens = 256;
    recipe.calibration.samples = recorded.method == Method::kGwq ? 1 : 8;
    const auto result = QuantizeModel(**store, *source, recipe, NoProgress(), {EvaluationTask{}});
    ASSERT_THAT(result, IsOk());
    const auto report = nlohmann::json::parse(result->report_json);
    const testing::ReportMetrics metrics(report, 0);
    EXPECT_NEAR(metrics.After("perplexity"), recorded.perplexity, kTolerance * recorded.perplexity);
    EXPECT_NEAR(metrics.Before("perplexity"), kFullPrecision, 0.001 * kFullPrecision);
    EXPECT_NEAR(report["matrix_bits_per_weight"], recorded.bits, 0.0001);
    for (const auto& phase : report["phases"]) {
      EXPECT_LE(phase["peak_memory_bytes"], report["planned_memory_bytes"]) << phase["name"];
    }
  }
}

}  // namespace
}  // namespace gwq
