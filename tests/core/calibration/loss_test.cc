#include "core/calibration/loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
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

TEST(DrawnLabelLoss, IsThatOfLabelsWhoseShareIsTheirProbability) {
  // One row of probabilities 1/7, 2/7, 4/7, many times.
  constexpr size_t kRows = 7000;
  std::vector<float> logits;
  for (size_t i = 0; i < kRows; ++i) logits.insert(logits.end(), {0.0F, std::log(2.0F), std::log(4.0F)});
  const double loss = DrawnLabelLoss(logits, 3, kRows, 5, 0);
  std::array<int, 3> drawn = {};
  for (size_t row = 0; row < kRows; ++row) {
    const auto label =
        static_cast<size_t>(std::ranges::min_element(logits.begin() + static_cast<std::ptrdiff_t>(3 * row),
                                                     logits.begin() + static_cast<std::ptrdiff_t>(3 * row + 3)) -
                            (logits.begin() + static_cast<std::ptrdiff_t>(3 * row)));
    ++drawn[label];
  }
  // Four standard deviations of 7000 draws.
  EXPECT_NEAR(drawn[0], 1000, 117);
  EXPECT_NEAR(drawn[1], 2000, 151);
  EXPECT_NEAR(drawn[2], 4000, 166);
  const double entropy = std::log(7.0) - 2.0 / 7 * std::log(2.0) - 4.0 / 7 * std::log(4.0);
  EXPECT_NEAR(loss, entropy, 0.03);
}

TEST(DrawnLabelLoss, LeavesProbabilitiesLessTheLabelInPlaceOfTheLogits) {
  std::vector<float> logits = {0.0F, std::log(2.0F), std::log(4.0F)};
  const double loss = DrawnLabelLoss(logits, 3, 2, 1, 0);
  const auto label = static_cast<size_t>(std::ranges::min_element(logits) - logits.begin());
  const double chances[] = {1.0 / 7, 2.0 / 7, 4.0 / 7};
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(logits[i], (chances[i] - (i == label ? 1 : 0)) / 2, 1e-6);
  EXPECT_NEAR(loss, -std::log(chances[label]) / 2, 1e-6);
}

TEST(DrawnLabelLoss, DrawsByTheNumberOfTheRowAndNotOfThePart) {
  std::mt19937 random(4);
  std::normal_distribution<float> normal;
  std::vector<float> logits(6 * 9);
  for (float& logit : logits) logit = normal(random);
  std::vector<float> first(logits.begin(), logits.begin() + 4 * 9), second(logits.begin() + 4 * 9, logits.end());
  const double all = DrawnLabelLoss(logits, 9, 6, 11, 3);
  EXPECT_NEAR(DrawnLabelLoss(first, 9, 6, 11, 3) + DrawnLabelLoss(second, 9, 6, 11, 7), all, 1e-12);
  first.insert(first.end(), second.begin(), second.end());
  EXPECT_EQ(first, logits);
}

TEST(DivergenceLoss, OfTheSameLogitsIsNothing) {
  std::vector<float> logits = {1, 2, 3, -4, 0, 9}, reference = {2, 3, 4, -4, 0, 9};
  ThreadPool pool(2);
  EXPECT_NEAR(DivergenceLoss(logits, reference, 3, 2, pool), 0, 1e-6);
  for (const float slope : logits) EXPECT_NEAR(slope, 0, 1e-7);
}

TEST(DivergenceLoss, LeavesTheGradientInPlaceOfTheLogits) {
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  std::vector<float> logits(3 * 7), reference(3 * 7);
  for (float& logit : logits) logit = 2 * normal(random);
  for (float& logit : reference) logit = 2 * normal(random);
  // Of one row, in double precision.
  const auto divergence = [](const std::vector<double>& model, const std::vector<double>& wanted) {
    double sum = 0, of_model = 0, of_wanted = 0;
    for (const double one : model) of_model += std::exp(one);
    for (const double one : wanted) of_wanted += std::exp(one);
    for (size_t i = 0; i < model.size(); ++i) {
      sum += std::exp(wanted[i]) / of_wanted * (wanted[i] - std::log(of_wanted) - model[i] + std::log(of_model));
    }
    return sum;
  };
  std::vector<float> gradient = logits, other = reference;
  ThreadPool pool(2);
  const double loss = DivergenceLoss(gradient, other, 7, 3, pool);
  double expected = 0;
  for (size_t row = 0; row < 3; ++row) {
    const auto begin = static_cast<std::ptrdiff_t>(row * 7);
    const std::vector<double> model(logits.begin() + begin, logits.begin() + begin + 7);
    const std::vector<double> wanted(reference.begin() + begin, reference.begin() + begin + 7);
    expected += divergence(model, wanted) / 3;
    for (size_t i = 0; i < 7; ++i) {
      std::vector<double> up = model, down = model;
      up[i] += 1e-4;
      down[i] -= 1e-4;
      EXPECT_NEAR(gradient[row * 7 + i], (divergence(up, wanted) - divergence(down, wanted)) / 2e-4 / 3, 1e-6);
    }
  }
  EXPECT_NEAR(loss, expected, 1e-6);
}

TEST(DivergenceLoss, AimsAtTheNextTokensByTheirShare) {
  // Probabilities 1/3 of the model, and of the reference 1/2, 1/4, 1/4; one row has no next token, one an image's.
  const std::vector<float> of_row = {std::log(0.5F), std::log(0.25F), std::log(0.25F)};
  std::vector<float> logits(9, 0.0F), reference;
  for (int row = 0; row < 3; ++row) reference.insert(reference.end(), of_row.begin(), of_row.end());
  const std::vector<int32_t> tokens = {2, -1};
  ThreadPool pool(2);
  (void)DivergenceLoss(logits, reference, 3, 1, pool, {tokens, 0.2});
  const float third = 1.0F / 3;
  const std::vector<float> expected = {third - 0.4F, third - 0.2F,  third - 0.4F,  // 0.8 p + 0.2 of token 2
                                       third - 0.5F, third - 0.25F, third - 0.25F,
                                       third - 0.5F, third - 0.25F, third - 0.25F};
  for (size_t i = 0; i < 9; ++i) EXPECT_NEAR(logits[i], expected[i], 1e-6) << i;
}

TEST(DivergenceLoss, StaysFiniteForLogitsFarApart) {
  std::vector<float> logits = {30000.0F, -30000.0F}, reference = {-30000.0F, 30000.0F};
  ThreadPool pool(1);
  EXPECT_TRUE(std::isfinite(DivergenceLoss(logits, reference, 2, 1, pool)));
  EXPECT_THAT(logits, ::testing::ElementsAre(1, -1));
}

}  // namespace
}  // namespace gwq
