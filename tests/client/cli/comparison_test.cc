#include "client/cli/comparison.h"

#include <gmock/gmock.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/io/json.h"
#include "tests/client/cli/printed.h"

namespace gwq::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Of two stored results.
std::vector<std::string> Differences(const std::string& a, const std::string& b) {
  v1::Evaluation of_a, of_b;
  of_a.set_result_json(a);
  of_b.set_result_json(b);
  return MeasuredDifferently(of_a, of_b);
}

TEST(MeasuredDifferently, NamesEachFieldWithBothValuesButNoTasksName) {
  EXPECT_THAT(Differences(R"({"task": {"kind": "text", "limit": 10, "name": "a"}})",
                          R"({"task": {"kind": "text", "limit": 20, "name": "b", "window": 256}})"),
              ElementsAre("task.limit: 10 and 20", "task.window: not told and 256"));
}

TEST(MeasuredDifferently, AReferenceCountsWhereBothHaveOne) {
  const std::string without = R"({"task": {"kind": "text"}})";
  const std::string one = R"({"reference": "1", "task": {"kind": "text"}})";
  EXPECT_THAT(Differences(one, R"({"reference": "2", "task": {"kind": "text"}})"),
              ElementsAre(R"(reference: "1" and "2")"));
  EXPECT_THAT(Differences(one, without), IsEmpty());
  EXPECT_THAT(Differences(without, one), IsEmpty());
}

TEST(MeasuredDifferently, TwoThatTellNothingCannotBeCompared) {
  for (const char* const nothing : {"", "{", "[]", "7", "{}", R"({"task": 7})", R"({"task": {"name": "a"}})"}) {
    EXPECT_THAT(Differences(nothing, nothing), ElementsAre("task: unknown for both")) << nothing;
  }
}

TEST(MeasuredDifferently, LongValuesAreCutAndStayText) {
  std::string text = "a";
  for (int i = 0; i < 60; ++i) text += "漢";
  const auto differences = Differences(R"({"task": {"text": ")" + text + "\"}}", R"({"task": {"text": "b"}})");
  ASSERT_EQ(differences.size(), 1u);
  EXPECT_LT(differences[0].size(), 90u);
  EXPECT_TRUE(differences[0].ends_with("... and \"b\"")) << differences[0];
  EXPECT_TRUE(IsValidUtf8(differences[0]));
}

// What is printed of two evaluations with these perplexities.
std::string Compared(double a, double b, bool as_json) {
  v1::Evaluation of_a, of_b;
  for (const auto& [evaluation, value] : {std::pair(&of_a, a), std::pair(&of_b, b)}) {
    v1::EvaluationMetric& metric = *evaluation->add_metrics();
    metric.set_name("perplexity");
    metric.set_value(value);
  }
  Session session({.token = {}, .json = as_json});
  return testing::PrintedBy([&] { PrintComparison(session, of_a, of_b); }).out;
}

TEST(Comparison, ShowsThatAPerplexityIsInfinite) {
  const double infinity = std::numeric_limits<double>::infinity();
  const auto metric = nlohmann::json::parse(Compared(12.5, infinity, true))["metrics"][0];
  EXPECT_EQ(metric,
            nlohmann::json::parse(R"({"name": "perplexity", "a": 12.5, "b": "Infinity", "difference": "Infinity"})"));
  EXPECT_THAT(Compared(12.5, infinity, false), ::testing::ContainsRegex("perplexity +12.5 +inf +\\+inf"));
  EXPECT_THAT(Compared(infinity, infinity, false), ::testing::ContainsRegex("perplexity +inf +inf +-"));
}

}  // namespace
}  // namespace gwq::cli
