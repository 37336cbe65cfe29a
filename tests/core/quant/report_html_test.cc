// The report as a page, and the figures that it is summed up by.
#include "core/quant/report_html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "core/quant/report.h"
#include "core/quant/report_blocks.h"
#include "core/quant/report_page.h"
#include "core/quant/report_plot.h"
#include "core/quant/report_summary.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;
using ::testing::Not;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr char kAttack[] = "</pre><script>alert(\"1\")</script>&'";

// Two learned blocks, a tuning, a text and questions with a changed answer.
Report Rich() {
  Report report;
  report.architecture = "LlamaForCausalLM";
  report.recipe.method = Method::kTuned;
  report.source_bytes = 2000;
  report.total_weights = 1000;
  report.total_bytes = 500;
  for (const int stage : {1, 2}) {
    for (const char* role : {"self_attn.q_proj", "mlp.down_proj"}) {
      ReportModule& module = report.modules.emplace_back();
      module.tensor = "model.layers." + std::to_string(stage - 1) + "." + role + ".weight";
      module.stage = stage;
      module.method = Method::kTuned;
      module.weights = 100;
      module.stored_bytes = 50;
      module.norm = 100;
      module.error = stage;
      module.block_loss_before = 0.5 * stage;
      module.block_loss_after = 0.125 * stage;
    }
  }
  report.tuning = {{.first_step = 1, .steps = 2, .divergence = 0.5}, {.first_step = 3, .steps = 2, .divergence = 0.25}};
  ReportEvaluation& text = report.evaluations.emplace_back();
  text.before = {{"perplexity", 20, {}}};
  text.after.metrics = {{"perplexity", 21, {}}, {"mean_kl", 0.125, {}}, {"same_top1", 0.875, {}}};
  text.after.kl_by_position = {{.first = 0, .count = 10, .mean_kl = 0.25}, {.first = 10, .count = 10, .mean_kl = 0}};
  ReportEvaluation& asked = report.evaluations.emplace_back();
  asked.after.task.kind = EvaluationKind::kVqa;
  asked.before = {{"exact_match", 1, {}}};
  asked.after.metrics = {{"exact_match", 0.5, {}}, {"mean_kl", 9, {}}};
  asked.after.changed_answers = {{.line = 7, .question = "Which?", .reference_answer = "red", .answer = "blue"}};
  report.phases = {{"calibrate", 1.5, 100}, {"pack", 0.5, 300}};
  report.producer_json = R"({"method_version":1})";
  return report;
}

std::string PageOf(const Report& report) {
  const auto page = ReportHtml(ReportJson(report));
  EXPECT_THAT(page, IsOk());
  return page.value_or("");
}

size_t Count(const std::string& text, std::string_view piece) {
  size_t count = 0;
  for (size_t at = text.find(piece); at != std::string::npos; at = text.find(piece, at + 1)) ++count;
  return count;
}

TEST(ReportHtml, ShowsEachThingThatTheReportTells) {
  const std::string page = PageOf(Rich());
  for (const char* title : {"Evaluations", "Divergence by position", "Answers that changed", "Bits", "Error by block",
                            "What learning the blocks gained", "What tuning the model gained", "To repeat it"}) {
    EXPECT_THAT(page, HasSubstr(std::string("<h2>") + title + "</h2>"));
  }
  EXPECT_EQ(Count(page, "<svg "), 5U);
  EXPECT_THAT(page, HasSubstr("<title>model.layers.1: 0.25</title>")) << "the loss after";
  EXPECT_THAT(page, HasSubstr("step 3: 0.25"));
  EXPECT_THAT(page, HasSubstr("positions 0 to 9: 0.25"));
  EXPECT_THAT(page, HasSubstr("<td>Which?</td><td>red</td><td>blue</td>"));
  EXPECT_THAT(page, HasSubstr("method_version"));
}

TEST(ReportHtml, LeavesOutWhatTheReportDoesNotTell) {
  Report report;
  report.modules.resize(1);
  const std::string page = PageOf(report);
  for (const char* title :
       {"Quality contract", "Evaluations", "Divergence by position", "Answers that changed", "gained"}) {
    EXPECT_THAT(page, Not(HasSubstr(title)));
  }
}

TEST(ReportHtml, IsTheSameForTheSameReport) { EXPECT_EQ(PageOf(Rich()), PageOf(Rich())); }

TEST(ReportHtml, EscapesEveryTextAndLoadsNothing) {
  Report report = Rich();
  report.architecture = kAttack;
  report.recipe.calibration.text = kAttack;
  report.modules[0].tensor = std::string("model.layers.0.") + kAttack + ".weight";
  report.evaluations[0].after.task.name = kAttack;
  report.evaluations[1].after.changed_answers[0] = {1, kAttack, kAttack, kAttack};
  report.phases[0].name = kAttack;
  report.misses = {{.bound = kAttack, .what = kAttack, .value = {}, .limit = 1}};
  report.contract.floors = {{.evaluation = kAttack, .metric = kAttack, .at_least = 1}};
  const std::string page = PageOf(report);
  EXPECT_THAT(page, Not(HasSubstr("<script")));
  EXPECT_THAT(page, HasSubstr("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;"));
  EXPECT_EQ(Count(page, "</pre>"), Count(page, "<pre>"));
  for (const char* loads : {"src=", "href", "url(", "@import", "http://", "https://"}) {
    EXPECT_THAT(page, Not(HasSubstr(loads)));
  }
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
}

TEST(ReportHtml, ReadsWhateverAnotherVersionWrote) {
  for (const char* json : {"{}", R"({"modules":[1,null,{"tensor":7}],"blocks":{},"evaluations":[{"metrics":[3]}],)"
                                 R"("phases":"none","recipe":[],"contract":4,"tuning":[{}],"parts":[[]]})"}) {
    EXPECT_THAT(ReportHtml(json), IsOk()) << json;
  }
  for (const char* json : {"", "[]", "{", "7"}) {
    EXPECT_THAT(ReportHtml(json), HasCode(absl::StatusCode::kDataLoss)) << json;
  }
}

TEST(ReportHtml, OfManyModulesListsTheFirst) {
  Report report;
  report.modules.resize(kMaxListedModules + 5);
  for (size_t i = 0; i < report.modules.size(); ++i) report.modules[i].tensor = "m" + std::to_string(i) + "x";
  const std::string page = PageOf(report);
  EXPECT_THAT(page, HasSubstr("<td>m999x</td>"));
  EXPECT_THAT(page, Not(HasSubstr("<td>m1000x</td>")));
  EXPECT_THAT(page, HasSubstr("5 more stand in the report&#39;s JSON."));
}

TEST(HtmlPage, ControlCharactersAndBrokenUtf8AreReplaced) {
  EXPECT_EQ(EscapeHtml(std::string_view("a\0b\x1B\xFF\n", 6)),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD\xEF\xBF\xBD\n");
}

TEST(Plots, LeaveOutValuesThatAreNotFiniteAndDrawNothingOfNone) {
  const PlotTexts texts{"title", "x", "y"};
  EXPECT_EQ(LinePlot(texts, {{"a", {{0, kInfinity, ""}}}}), "");
  EXPECT_EQ(BarPlot(texts, {}), "");
  EXPECT_EQ(MapPlot(texts, {}, {}), "");
  const std::string line = LinePlot(texts, {{"a", {{0, 1, "one"}, {1, kInfinity, "none"}, {2, 3, "three"}}}});
  EXPECT_EQ(Count(line, "<circle"), 2U);
  for (const std::string& plot :
       {line, BarPlot(texts, {{0, 0, "zero"}}), MapPlot(texts, {"r"}, {{0, 0, kInfinity, ""}})}) {
    EXPECT_THAT(plot, Not(HasSubstr("nan")));
    EXPECT_THAT(plot, Not(HasSubstr("inf")));
  }
}

TEST(Plots, DrawABoundedNumberOfMarks) {
  std::vector<PlotPoint> points(100'000, {1, 1, ""});
  std::vector<MapCell> cells(100'000);
  EXPECT_EQ(Count(BarPlot({}, points), "<rect"), kMaxMarks);
  EXPECT_EQ(Count(LinePlot({}, {{"a", points}}), "<circle"), kMaxMarks);
  EXPECT_EQ(Count(MapPlot({}, {"r"}, cells), "<rect"), kMaxMarks);
}

TEST(ReportBlocks, SumUpTheModulesOfAStage) {
  const auto blocks = BlocksOf(Rich().modules);
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(blocks[1].name, "model.layers.1");
  EXPECT_EQ(blocks[1].weights, 200U);
  EXPECT_DOUBLE_EQ(blocks[1].relative_error, std::sqrt(4.0 / 200));
  EXPECT_EQ(blocks[1].loss_before, 1.0);
  EXPECT_EQ(blocks[1].loss_after, 0.25);
}

TEST(ReportBlocks, AreNamedByWholePartsOfTheNamesOfTheirTensors) {
  const auto name = [](std::vector<std::string> tensors) {
    std::vector<ReportModule> modules;
    for (std::string& tensor : tensors) modules.emplace_back().tensor = std::move(tensor);
    return BlocksOf(modules).at(0).name;
  };
  EXPECT_EQ(name({"a.b.q_proj.weight", "a.b.q_norm.weight"}), "a.b");
  EXPECT_EQ(name({"a.b", "a.b.c"}), "a.b");
  EXPECT_EQ(name({"lm_head.weight"}), "lm_head.weight");
  EXPECT_EQ(name({"abc", "abd"}), "");
}

TEST(ReportSummary, HasTheFiguresOfTheFirstText) {
  const auto summary = SummaryOfReport(ReportJson(Rich()));
  ASSERT_TRUE(summary.has_value());
  EXPECT_EQ(summary->method, "tuned");
  EXPECT_EQ(summary->source_bytes, 2000U);
  EXPECT_EQ(summary->total_bytes, 500U);
  EXPECT_EQ(summary->model_bits, 4.0);
  EXPECT_EQ(summary->perplexity_before, 20);
  EXPECT_EQ(summary->perplexity, 21);
  EXPECT_EQ(summary->mean_kl, 0.125) << "not that of the questions";
  EXPECT_EQ(summary->same_top1, 0.875);
  EXPECT_EQ(summary->seconds, 2);
  EXPECT_EQ(summary->peak_memory_bytes, 300U);
  ASSERT_EQ(summary->metrics.size(), 2U);
  EXPECT_EQ(summary->metrics[0].evaluation, "vqa");
  EXPECT_EQ(summary->metrics[0].before, 1);
  EXPECT_EQ(summary->metrics[0].after, 0.5);
}

TEST(ReportSummary, SurvivesItsJson) {
  auto summary = SummaryOfReport(ReportJson(Rich()));
  summary->perplexity = kInfinity;
  const std::string json = SummaryJson(*summary);
  const auto parsed = ParseSummary(json);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(SummaryJson(*parsed), json);
  EXPECT_EQ(parsed->perplexity, kInfinity);
}

TEST(ReportSummary, IsNoneOfWhatIsNoReport) {
  for (const char* json : {"", "{", "[]", R"({"metrics":[]})", R"({"total_bytes":"many"})"}) {
    EXPECT_FALSE(SummaryOfReport(json).has_value()) << json;
    EXPECT_FALSE(ParseSummary(json).has_value()) << json;
  }
}

TEST(ReportSummary, OfManyEvaluationsHasTheFirstMetrics) {
  Report report = Rich();
  report.evaluations.resize(200, report.evaluations[1]);
  EXPECT_EQ(SummaryOfReport(ReportJson(report))->metrics.size(), kMaxSummaryMetrics);
}

}  // namespace
}  // namespace gwq
