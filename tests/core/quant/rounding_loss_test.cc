#include "core/quant/budget/rounding_loss.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "core/quant/budget/choices.h"
#include "core/quant/quantizers.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

constexpr int64_t kRows = 5, kCols = 72;

std::vector<float> Drawn(uint32_t seed, float deviation) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(kRows * kCols);
  for (float& value : out) value = normal(random);
  return out;
}

TensorView ViewOf(const std::vector<float>& weights) {
  return {DType::kF32, {kRows, kCols}, std::as_bytes(std::span<const float>(weights))};
}

std::vector<ModuleChoice> Forms(bool outliers = false) {
  MatrixRequest request;
  request.shape.rows = kRows;
  request.shape.cols = kCols;
  return *ChoicesFor(*FindQuantizer(outliers ? Method::kTuned : Method::kRtn), request, outliers);
}

TEST(ChoicesFor, RiseInBytesAndCutGroupsAtTheRow) {
  const std::vector<ModuleChoice> forms = Forms();
  ASSERT_EQ(forms.size(), 18U) << "groups of 72, 64 and 32 columns";
  for (size_t i = 1; i < forms.size(); ++i) EXPECT_LE(forms[i - 1].stored_bytes, forms[i].stored_bytes);
  EXPECT_EQ(forms.front().packed.group_size, 72);
  EXPECT_EQ(forms.front().packed.bits, 2);
  EXPECT_EQ(forms.back().packed.bits, 8);
}

TEST(ChoicesFor, HaveOutliersWhereTheMethodTakesSome) {
  const std::vector<ModuleChoice> forms = Forms(true);
  ASSERT_EQ(forms.size(), 36U) << "0, 0.5 and 1 % with 2, 3 and 4 bits";
  EXPECT_EQ(forms[0].packed.outliers, 0);
  EXPECT_EQ(forms[1].packed.outliers, 1);
  EXPECT_EQ(forms[2].packed.outliers, 3);
  EXPECT_EQ(forms.back().packed.outliers, 0);
  for (const ModuleChoice& form : forms) {
    EXPECT_GE(form.stored_bytes, forms.front().stored_bytes);
    EXPECT_LE(form.stored_bytes, forms.back().stored_bytes);
  }
  MatrixRequest request;
  request.shape.rows = kRows;
  request.shape.cols = kCols;
  EXPECT_EQ(ChoicesFor(*FindQuantizer(Method::kRtn), request, true)->size(), 18U) << "rtn has none";
  MatrixRequest small = request;
  small.shape.rows = 1;
  EXPECT_EQ(ChoicesFor(*FindQuantizer(Method::kTuned), small, true)->size(), 36U)
      << "forms of matrices that are tied must match, although 0.5 % of 72 weights is none";
  request.outlier_ratio = 0.02;
  EXPECT_EQ(ChoicesFor(*FindQuantizer(Method::kTuned), request, true)->size(), 18U) << "the recipe's share stays";
}

TEST(RoundingLosses, DoNotCountTheDearestWeightsAsRounded) {
  const std::vector<float> weights = Drawn(6, 0.1F);
  std::vector<float> fisher(weights.size(), 2.0F);
  // Three of one row, whatever its groups: no range meets them all.
  for (const size_t at : {73, 75, 78}) fisher[at] = 1e4F;
  ThreadPool pool(2);
  const std::vector<ModuleChoice> forms = Forms(true);
  const auto losses = RoundingLosses(ViewOf(weights), fisher, forms, "w", pool);
  ASSERT_THAT(losses, IsOk());
  EXPECT_LT((*losses)[1], (*losses)[0]) << "one outlier";
  EXPECT_LT((*losses)[2], 0.3 * (*losses)[0]) << "three";
  const auto without = RoundingLosses(ViewOf(weights), fisher, Forms(), "w", pool);
  ASSERT_THAT(without, IsOk());
  EXPECT_EQ((*losses)[0], (*without)[0]) << "forms without outliers cost the same beside forms with some";
  EXPECT_EQ(losses->back(), without->back());
}

TEST(RoundingLosses, FallWithBitsAndWithSmallerGroups) {
  const std::vector<float> weights = Drawn(1, 0.1F);
  const std::vector<float> fisher(weights.size(), 2.0F);
  ThreadPool pool(2);
  const auto losses = RoundingLosses(ViewOf(weights), fisher, Forms(), "w", pool);
  ASSERT_THAT(losses, IsOk());
  for (size_t i = 3; i < losses->size(); ++i) EXPECT_LT((*losses)[i], (*losses)[i - 3]);
  EXPECT_LT((*losses)[2], (*losses)[0]);
}

TEST(RoundingLosses, AreHalfTheWeightedErrorOfTheSearchedRanges) {
  // One weight per group counts: its range can be stretched until it is met well.
  const std::vector<float> weights = Drawn(2, 0.1F);
  std::vector<float> fisher(weights.size(), 0.0F);
  fisher[7] = 100.0F;
  ThreadPool pool(1);
  const std::vector<ModuleChoice> forms = Forms();
  const auto one = RoundingLosses(ViewOf(weights), fisher, forms, "w", pool);
  fisher[7] = 300.0F;
  const auto three = RoundingLosses(ViewOf(weights), fisher, forms, "w", pool);
  ASSERT_THAT(one, IsOk());
  ASSERT_THAT(three, IsOk());
  for (size_t i = 0; i < forms.size(); ++i) {
    EXPECT_NEAR((*three)[i], 3 * (*one)[i], 1e-6 * (*three)[i]);
    const double step = 0.8 / ((1 << forms[i].packed.bits) - 1);  // no range here is wider
    EXPECT_LE((*one)[i], 0.5 * 100 * step * step / 4);
  }
}

TEST(RoundingLosses, DoNotDependOnThePool) {
  const std::vector<float> weights = Drawn(3, 1.0F), values = Drawn(4, 1.0F);
  std::vector<float> fisher;
  for (const float value : values) fisher.push_back(value * value);
  ThreadPool one(1), four(4);
  EXPECT_EQ(*RoundingLosses(ViewOf(weights), fisher, Forms(), "w", one),
            *RoundingLosses(ViewOf(weights), fisher, Forms(), "w", four));
}

TEST(RoundingLosses, NameWhatIsNotFinite) {
  const std::vector<float> weights = Drawn(5, 1.0F);
  std::vector<float> fisher(weights.size(), 1.0F);
  fisher[kCols + 3] = HUGE_VALF;
  ThreadPool pool(1);
  const auto losses = RoundingLosses(ViewOf(weights), fisher, Forms(), "model.w", pool);
  EXPECT_THAT(losses, HasCode(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(losses.status().message(), ::testing::HasSubstr("model.w is inf at row 1, column 3"));
}

}  // namespace
}  // namespace gwq
