#include "client/cli/comparison.h"

#include <gmock/gmock.h>

#include "core/io/json.h"

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

}  // namespace
}  // namespace gwq::cli
