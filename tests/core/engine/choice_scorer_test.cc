#include "core/engine/choice_scorer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using ::testing::IsEmpty;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Token t has the probability (t + 1) / 10.
const std::vector<float> kLogits = {std::log(0.1F), std::log(0.2F), std::log(0.3F), std::log(0.4F)};

bool Take(ChoiceScorer& scorer) {
  const auto another = scorer.Take(kLogits);
  EXPECT_TRUE(another.ok()) << another.status();
  return another.value_or(false);
}

TEST(ChoiceScorer, PutsChoicesOfSeveralTokensBehindThePromptOneAfterTheOther) {
  ChoiceScorer scorer({{3}, {0, 1, 2}, {2}, {1, 3}, {0}});
  EXPECT_THAT(scorer.Standing(), IsEmpty());
  EXPECT_EQ(scorer.next_row(), 0);
  EXPECT_TRUE(Take(scorer)) << "the prompt's last row scores every first token";
  EXPECT_THAT(scorer.Standing(), ElementsAre(0, 1)) << "without its last token";
  EXPECT_EQ(scorer.next_row(), 1);
  EXPECT_FALSE(Take(scorer));
  EXPECT_EQ(scorer.next_row(), 2);
  EXPECT_TRUE(Take(scorer));
  EXPECT_THAT(scorer.Standing(), ElementsAre(1));
  EXPECT_FALSE(scorer.done());
  EXPECT_TRUE(Take(scorer));
  EXPECT_TRUE(scorer.done());
  EXPECT_THAT(scorer.Standing(), IsEmpty());
  const double expected[] = {0.4, 0.1 * 0.2 * 0.3, 0.3, 0.2 * 0.4, 0.1};
  // Tolerance: the logits are floats.
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(scorer.log_likelihoods()[i], std::log(expected[i]), 1e-6) << i;
}

TEST(ChoiceScorer, SingleTokensAreDoneWithThePrompt) {
  ChoiceScorer scorer({{0}, {0}});
  EXPECT_TRUE(Take(scorer));
  EXPECT_TRUE(scorer.done());
  EXPECT_FALSE(ChoiceScorer({}).active());
}

TEST(ChoiceScorer, ABannedTokenIsImpossibleAndNoError) {
  ChoiceScorer scorer({{0}, {1}});
  ASSERT_TRUE(scorer.Take(std::vector<float>{-kInfinity, 1}).ok());
  EXPECT_EQ(scorer.log_likelihoods()[0], -static_cast<double>(kInfinity));
  EXPECT_NEAR(scorer.log_likelihoods()[1], 0, 1e-12);
}

TEST(ChoiceScorer, BrokenLogitsAreInternal) {
  for (const float broken : {std::nanf(""), kInfinity}) {
    ChoiceScorer scorer({{0}, {1, 0}});
    EXPECT_THAT(scorer.Take(std::vector<float>{1, broken}), HasCode(absl::StatusCode::kInternal));
  }
}

}  // namespace
}  // namespace gwq
