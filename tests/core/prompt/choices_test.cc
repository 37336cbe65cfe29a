#include "core/prompt/choices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace gwq {
namespace {

using ::testing::DoubleNear;
using ::testing::ElementsAre;

TEST(ChoiceScores, ProbabilitiesAddUpAndFollowTheLikelihoods) {
  const auto p = ChoiceProbabilities(std::vector<double>{-1000.0, -1000.0 + std::log(3.0)});
  EXPECT_THAT(p, ElementsAre(DoubleNear(0.25, 1e-12), DoubleNear(0.75, 1e-12)));
  const double none = -std::numeric_limits<double>::infinity();
  EXPECT_THAT(ChoiceProbabilities(std::vector<double>{none, none}), ElementsAre(0.5, 0.5));
  EXPECT_THAT(ChoiceProbabilities(std::vector<double>{none, -3.0}), ElementsAre(0.0, 1.0));
}

TEST(ChoiceScores, LengthsDivideAndTheFirstOfEqualOnesWins) {
  const std::vector<double> scores = {-6.0, -5.0, -5.0};
  EXPECT_EQ(BestChoice(scores), 1U);
  EXPECT_EQ(BestChoice(scores, std::vector<int64_t>{4, 2, 2}), 0U);
  const auto p = ChoiceProbabilities(scores, std::vector<int64_t>{6, 5, 5});
  EXPECT_THAT(p, ElementsAre(DoubleNear(1 / 3.0, 1e-12), DoubleNear(1 / 3.0, 1e-12), DoubleNear(1 / 3.0, 1e-12)));
}

TEST(ChoiceScores, DivergenceIsThatOfItsDefinition) {
  const auto kl = [](const std::vector<double>& p, const std::vector<double>& q) {
    return KlDivergence(ChoiceLogProbabilities(p), ChoiceLogProbabilities(q));
  };
  const double none = -std::numeric_limits<double>::infinity();
  EXPECT_DOUBLE_EQ(kl({0, 0}, {0, std::log(3.0)}), 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3));
  EXPECT_DOUBLE_EQ(kl({none, -7}, {-5, -5}), std::log(2.0)) << "what p bans adds nothing";
  EXPECT_DOUBLE_EQ(kl({-3, -3}, {-3, -2003}), std::log(0.5) + 1000) << "exp(-2000) is 0";
  EXPECT_EQ(kl({-3, -3}, {-3, none}), -none) << "what q bans";
}

TEST(ChoiceProbabilities, SumToOneAndFollowTheLengths) {
  const std::vector<double> likelihoods = {-700.0, -701.0, -3000.0, -std::numeric_limits<double>::infinity()};
  const std::vector<int64_t> ones(4, 1);
  const auto plain = ChoiceProbabilities(likelihoods, ones);
  EXPECT_NEAR(std::accumulate(plain.begin(), plain.end(), 0.0), 1, 1e-12);
  EXPECT_NEAR(plain[0] / plain[1], std::exp(1.0), 1e-9);
  EXPECT_EQ(plain[3], 0);
  const auto by_length = ChoiceProbabilities(likelihoods, std::vector<int64_t>{1, 2, 30, 1});
  EXPECT_GT(by_length[2], by_length[1]);
  EXPECT_NEAR(by_length[2], 1, 1e-9);
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(ChoiceProbabilities(std::vector<double>{-infinity, -infinity}, std::vector<int64_t>{1, 1}),
            (std::vector<double>{0.5, 0.5}));
}

}  // namespace
}  // namespace gwq
