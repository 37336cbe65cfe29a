#include "core/spec/quantize_evaluations.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

std::vector<EvaluationTask> Tasks(std::vector<EvaluationTask> named, const OldTextEvaluation& old) {
  auto tasks = QuantizeEvaluations(std::move(named), old, /*threads=*/3);
  EXPECT_TRUE(tasks.ok()) << tasks.status();
  return tasks.ok() ? *std::move(tasks) : std::vector<EvaluationTask>();
}

const EvaluationTask kNamed{.name = "named"};

TEST(QuantizeEvaluations, AreTheTextThatShipsWhereNothingIsNamed) {
  EXPECT_EQ(Tasks({}, {}), std::vector{EvaluationTask{.threads = 3}});
  EXPECT_EQ(EvaluationTask{}.tokens, 2048);
  EXPECT_EQ(EvaluationTask{}.window, 512);
}

TEST(QuantizeEvaluations, AreTheNamedOnesAlone) { EXPECT_EQ(Tasks({kNamed}, {}), std::vector{kNamed}); }

TEST(QuantizeEvaluations, ReadWhatRecipesAskedOneVersionAgo) {
  const EvaluationTask text{.text = "t", .tokens = 20, .window = 10, .threads = 3};
  EXPECT_EQ(Tasks({kNamed}, {.text = "t", .tokens = 20, .window = 10}), (std::vector{text, kNamed}));
  EXPECT_EQ(Tasks({}, {.window = 10}), (std::vector{EvaluationTask{.window = 10, .threads = 3}}));
  EXPECT_TRUE(Tasks({}, {.text = "t", .tokens = 0, .window = 10}).empty());
  EXPECT_EQ(Tasks({kNamed}, {.tokens = 0}), std::vector{kNamed});
  EXPECT_EQ(Tasks({}, {.tokens = 1})[0].tokens, 2);
}

TEST(QuantizeEvaluations, FaultsAreNamedAsTheRecipesFields) {
  const auto field = [](const OldTextEvaluation& old) {
    const auto tasks = QuantizeEvaluations({}, old, 1);
    return tasks.ok() ? "" : FieldViolations(tasks.status())[0].field;
  };
  EXPECT_EQ(field({.tokens = 1'000'001}), "recipe.evaluation_tokens");
  EXPECT_EQ(field({.tokens = -1}), "recipe.evaluation_tokens");
  EXPECT_EQ(field({.window = 1}), "recipe.evaluation_window");
  EXPECT_EQ(field({.text = "\xC3("}), "recipe.evaluation_text");
}

TEST(OldTextEvaluation, IsTakenOutOfARecipe) {
  Json recipe = {{"bits", 3}, {"evaluation_text", "t"}, {"evaluation_tokens", 0}, {"evaluation_window", 8}};
  const auto old = TakeOldTextEvaluation(recipe);
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(old->text, "t");
  EXPECT_EQ(old->tokens, 0);
  EXPECT_EQ(old->window, 8);
  EXPECT_EQ(recipe, Json({{"bits", 3}}));
  EXPECT_FALSE(TakeOldTextEvaluation(recipe)->given());
}

TEST(OldTextEvaluation, OfAnotherTypeIsRefusedByItsName) {
  for (const char* name : {"evaluation_text", "evaluation_tokens", "evaluation_window"}) {
    Json recipe = {{name, true}};
    EXPECT_EQ(FieldViolations(TakeOldTextEvaluation(recipe).status())[0].field, std::string("recipe.") + name);
  }
}

}  // namespace
}  // namespace gwq
