#include "core/calibration/loss.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace gwq {
namespace {

// Cross-entropy of `row` against `label`, in double precision.
double CrossEntropy(const std::vector<double>& row, size_t label) {
  double sum = 0;
  for (const double logit : row) sum += std::exp(logit);
  return std::log(sum) - row[label];
}

TEST(OwnLabelLoss, OfEqualLogitsIsTheLogarithmOfTheirNumberAgainstTheLowestToken) {
  std::vector<float> logits(4, 2.5F);
  EXPECT_NEAR(OwnLabelLoss(logits, 4, 1), std::log(4.0), 1e-12);
  EXPECT_FLOAT_EQ(logits[0], -0.75F);
  for (size_t i = 1; i < 4; ++i) EXPECT_FLOAT_EQ(logits[i], 0.25F);
}

TEST(OwnLabelLoss, LeavesTheGradientInPlaceOfTheLogits) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> logits(3 * 7);
  for (float& logit : logits) logit = 2 * normal(random);
  std::vector<float> gradient = logits;
  const double loss = OwnLabelLoss(gradient, 7, 3);
  double expected_loss = 0;
  for (size_t row = 0; row < 3; ++row) {
    const std::vector<double> values(logits.begin() + static_cast<std::ptrdiff_t>(row * 7),
                                     logits.begin() + static_cast<std::ptrdiff_t>(row * 7 + 7));
    const auto label = static_cast<size_t>(std::ranges::max_element(values) - values.begin());
    expected_loss += CrossEntropy(values, label) / 3;
    for (size_t i = 0; i < 7; ++i) {
      std::vector<double> up = values, down = values;
      up[i] += 1e-4;
      down[i] -= 1e-4;
      const double slope = (CrossEntropy(up, label) - CrossEntropy(down, label)) / 2e-4 / 3;
      EXPECT_NEAR(gradient[row * 7 + i], slope, 1e-6) << "row " << row << ", token " << i;
    }
  }
  EXPECT_NEAR(loss, expected_loss, 1e-6);
}

TEST(OwnLabelLoss, OfPartsAddsUpToThatOfAll) {
  std::vector<float> logits = {1, 2, 3, 3, 1, 0, 0, 5, 1, 2, 2, 2};
  std::vector<float> first(logits.begin(), logits.begin() + 9), second(logits.begin() + 9, logits.end());
  const double all = OwnLabelLoss(logits, 3, 4);
  EXPECT_NEAR(OwnLabelLoss(first, 3, 4) + OwnLabelLoss(second, 3, 4), all, 1e-12);
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_EQ(first, logits);
}

TEST(OwnLabelLoss, StaysFiniteForLogitsFarApart) {
  std::vector<float> logits = {30000.0F, -30000.0F, 29999.0F};
  EXPECT_NEAR(OwnLabelLoss(logits, 3, 1), std::log1p(std::exp(-1.0)), 1e-6);
  EXPECT_EQ(logits[1], 0.0F);
  EXPECT_NEAR(logits[0] + logits[2], 0, 1e-6);
}

}  // namespace
}  // namespace gwq
