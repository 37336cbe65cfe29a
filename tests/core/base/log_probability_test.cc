#include "core/base/log_probability.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace gwq {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

TEST(LogSumExp, IsExactFarFromZero) {
  EXPECT_NEAR(*LogSumExp(std::vector<float>{0, 0, 0, 0}), std::log(4.0), 1e-12);
  EXPECT_NEAR(*LogSumExp(std::vector<float>{1e4F, 1e4F}), 1e4 + std::log(2.0), 1e-9);
  EXPECT_NEAR(*LogSumExp(std::vector<float>{-1e4F, -kInfinity}), -1e4, 1e-9) << "a banned token";
}

TEST(LargestLogit, IsTheFirstOfEqualOnes) { EXPECT_EQ(*LargestLogit(std::vector<float>{1, 3, -kInfinity, 3}), 1U); }

TEST(LogProbability, IsThatOfTheSoftmax) {
  const std::vector<float> logits = {1, 2, 3};
  const double normalizer = *LogSumExp(logits);
  const std::vector<double> probabilities = Softmax({1, 2, 3});
  const std::vector<double> logarithms = *LogProbabilities(logits);
  EXPECT_DOUBLE_EQ(std::accumulate(probabilities.begin(), probabilities.end(), 0.0), 1.0);
  for (int32_t token = 0; token < 3; ++token) {
    EXPECT_NEAR(std::exp(LogProbability(logits, token, normalizer)), probabilities[static_cast<size_t>(token)], 1e-15);
    EXPECT_NEAR(LogProbability(logits, token, normalizer), logarithms[static_cast<size_t>(token)], 1e-15);
  }
}

TEST(Softmax, OfValuesThatAreAllMinusInfinityIsUniform) {
  const double none = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(Softmax({none, none}), (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(Softmax({none, 3.0}), (std::vector<double>{0.0, 1.0}));
  EXPECT_TRUE(Softmax({}).empty());
}

TEST(LogSoftmax, TellsProbabilitiesThatAreZeroAsDoubles) {
  const double none = -std::numeric_limits<double>::infinity();
  EXPECT_EQ(LogSoftmax({0, -2000}), (std::vector<double>{0, -2000}));
  EXPECT_EQ(LogSoftmax({none, 3.0}), (std::vector<double>{none, 0.0}));
  EXPECT_EQ(LogSoftmax({none, none}), (std::vector<double>{-std::log(2.0), -std::log(2.0)}));
  EXPECT_TRUE(LogSoftmax({}).empty());
}

TEST(Logits, ThatAreNotFiniteAreRefused) {
  const std::vector<std::vector<float>> broken = {
      {1, kInfinity, 2}, {1, std::nanf(""), 2}, {std::nanf(""), 1}, {-kInfinity, -kInfinity}, {}};
  for (const std::vector<float>& logits : broken) {
    EXPECT_EQ(LargestLogit(logits).status().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(LogSumExp(logits).status().code(), absl::StatusCode::kInternal);
    EXPECT_EQ(LogProbabilities(logits).status().code(), absl::StatusCode::kInternal);
  }
}

}  // namespace
}  // namespace gwq
