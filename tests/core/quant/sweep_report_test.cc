#include "core/quant/sweep/sweep_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;

SweepRow Row(const std::string& label, uint64_t bytes, double kl) {
  SweepRow row{
      .label = label, .artifact = "a-" + label, .digest = Sha256Of(label), .metrics = {}, .tokens_per_second = {}};
  row.total_bytes = bytes;
  row.matrix_bits = 3.25;
  row.model_bits = 4.5;
  row.metrics = {{"text", "perplexity", 100}, {"text", "mean_kl", kl}};
  return row;
}

SweepReport Report(std::vector<SweepRow> rows) {
  SweepReport report{"s", "m", Sha256Of("m"), "LlamaForCausalLM", std::move(rows)};
  FinishSweep(report);
  return report;
}

std::vector<std::string> Pareto(const SweepReport& report) {
  std::vector<std::string> out;
  for (const SweepRow& row : report.rows) {
    if (row.pareto) out.push_back(row.label);
  }
  return out;
}

TEST(SweepReport, MarksWhatNoOtherArtifactBeats) {
  EXPECT_THAT(Pareto(Report({Row("c", 300, 0.1), Row("a", 100, 0.5), Row("b", 200, 0.6), Row("d", 300, 0.2)})),
              ElementsAre("a", "c"));
  EXPECT_THAT(Pareto(Report({Row("a", 100, 0.5), Row("b", 100, 0.5)})), ElementsAre("a", "b")) << "equals both stay";
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_THAT(Pareto(Report({Row("a", 100, infinity), Row("b", 200, 0.5)})), ElementsAre("b"));
}

TEST(SweepReport, ComparesByPerplexityWhereNoDivergenceWasMeasuredAndByNothingWithoutBoth) {
  SweepReport report = Report({Row("a", 100, 0.5), Row("b", 200, 0.1)});
  for (SweepRow& row : report.rows) row.metrics.pop_back();
  FinishSweep(report);
  EXPECT_THAT(Pareto(report), ElementsAre("a")) << "the same perplexity with more bytes is no gain";
  for (SweepRow& row : report.rows) row.metrics.clear();
  FinishSweep(report);
  EXPECT_TRUE(Pareto(report).empty());
  EXPECT_THAT(SweepMarkdown(report), HasSubstr("No divergence"));
  EXPECT_THAT(SweepHtml(report), Not(HasSubstr("<svg")));
}

TEST(SweepReport, ARowIsReadBackAsItWasWritten) {
  SweepRow row = Row("a", 100, std::numeric_limits<double>::infinity());
  row.tokens_per_second = 12.5;
  const auto back = ParseSweepRow(SweepRowJson(row));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(SweepRowJson(*back), SweepRowJson(row));
  for (const char* const key :
       {"label", "artifact", "digest", "total_bytes", "metrics", "model_bits_per_weight", "tokens_per_second"}) {
    nlohmann::json bad = SweepRowJson(row);
    bad[key] = nullptr;
    EXPECT_THAT(ParseSweepRow(bad), HasCode(absl::StatusCode::kDataLoss)) << key;
  }
}

TEST(SweepReport, TheTableHasSpeedWhereItWasMeasured) {
  SweepReport report = Report({Row("3", 100, 0.5), Row("4", 200, 0.1)});
  EXPECT_THAT(SweepMarkdown(report), Not(HasSubstr("token/s")));
  report.rows[1].tokens_per_second = 123.45;
  EXPECT_THAT(SweepMarkdown(report), HasSubstr("| token/s |"));
  EXPECT_THAT(SweepMarkdown(report), HasSubstr("| 0.5 |  |"));
  EXPECT_THAT(SweepMarkdown(report), HasSubstr("| 0.1 | 123.5 |"));
}

TEST(SweepReport, ARowIsOfAQuantizationsReport) {
  const nlohmann::json report = {
      {"artifact", Sha256Of("a").Hex()},
      {"matrix_bits_per_weight", 3.1},
      {"model_bits_per_weight", 4.2},
      {"total_bytes", 77},
      {"evaluations", {{{"name", "text"}, {"metrics", {{{"name", "mean_kl"}, {"after", 0.25}, {"before", 0}}}}}}}};
  const auto row = SweepRowOf("3", "a-3", report.dump());
  ASSERT_THAT(row, IsOk());
  EXPECT_EQ(row->total_bytes, 77U);
  ASSERT_EQ(row->metrics.size(), 1U);
  EXPECT_EQ(row->metrics[0].value, 0.25);
  EXPECT_THAT(SweepRowOf("3", "a-3", "{}"), HasCode(absl::StatusCode::kDataLoss));
}

TEST(SweepReport, ThePageEscapesTextsLoadsNothingAndPlotsEveryArtifact) {
  SweepReport report = Report({Row("3", 100, 0.5), Row("4", 200, 0.1)});
  report.architecture = "<script>alert('x')</script>";
  const std::string page = SweepHtml(report);
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  EXPECT_THAT(page, Not(HasSubstr("src=")));
  size_t circles = 0;
  for (size_t at = page.find("<circle"); at != std::string::npos; at = page.find("<circle", at + 1)) ++circles;
  EXPECT_EQ(circles, 2U);
  EXPECT_THAT(SweepMarkdown(report), HasSubstr("| a-3 * | 3.2500 | 4.5000 | 100 | 100 | 0.5 |"));
}

}  // namespace
}  // namespace gwq
