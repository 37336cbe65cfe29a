#include "core/spec/evaluation_task.h"

#include <gtest/gtest.h>

#include "core/base/sha256.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::IsOk;

TEST(EvaluationTask, SurvivesItsJson) {
  EvaluationTask task;
  task.name = "mmlu.5-shot";
  task.kind = EvaluationKind::kChoices;
  task.dataset = Sha256Of("d").Hex();
  task.limit = 7;
  task.delimiter = "\n";
  task.threads = 3;
  const auto parsed = ParseEvaluationTask(EvaluationTaskJson(task), "task");
  ASSERT_THAT(parsed, IsOk());
  EXPECT_EQ(*parsed, task);
  EXPECT_EQ(EvaluationTaskJson(task).size(), 10U) << "every field";
  EXPECT_EQ(parsed->title(), "mmlu.5-shot");
  EXPECT_EQ(EvaluationTask{}.title(), "text");
}

TEST(EvaluationTask, RefusesByField) {
  const std::string digest = Sha256Of("d").Hex();
  const auto parse = [&](nlohmann::json json) { return ParseEvaluationTask(json, "task").status(); };
  EXPECT_THAT(parse(nlohmann::json::object()), IsOk()) << "a text that ships, by default";
  EXPECT_THAT(parse({{"kind", "sums"}}), FailsAt("task.kind"));
  EXPECT_THAT(parse({{"kind", 3}}), FailsAt("task.kind"));
  EXPECT_THAT(parse({{"knid", "text"}}), FailsAt("task.knid"));
  EXPECT_THAT(parse({{"name", "A b"}}), FailsAt("task.name"));
  EXPECT_THAT(parse({{"tokens", 1}}), FailsAt("task.tokens"));
  EXPECT_THAT(parse({{"window", 9000}}), FailsAt("task.window"));
  EXPECT_THAT(parse({{"threads", 0}}), FailsAt("task.threads"));
  EXPECT_THAT(parse({{"text", "t"}, {"dataset", digest}}), FailsAt("task.text"));
  EXPECT_THAT(parse({{"limit", 3}}), FailsAt("task.limit"));
  EXPECT_THAT(parse({{"kind", "choices"}}), FailsAt("task.dataset"));
  EXPECT_THAT(parse({{"kind", "choices"}, {"dataset", "abc"}}), FailsAt("task.dataset"));
  EXPECT_THAT(parse({{"kind", "choices"}, {"dataset", digest}, {"limit", -1}}), FailsAt("task.limit"));
  EXPECT_THAT(parse({{"kind", "choices"}, {"dataset", digest}, {"text", "t"}}), FailsAt("task.text"));
  EXPECT_THAT(parse({{"kind", "choices"}, {"dataset", digest}, {"max_tokens", 3}}), FailsAt("task.max_tokens"));
  EXPECT_THAT(parse({{"kind", "vqa"}, {"dataset", digest}, {"delimiter", ""}}), FailsAt("task.delimiter"));
  EXPECT_THAT(parse({{"kind", "vqa"}, {"dataset", digest}, {"max_tokens", 3}}), IsOk());
}

}  // namespace
}  // namespace gwq
