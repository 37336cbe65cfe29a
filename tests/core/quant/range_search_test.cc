#include "core/quant/range_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/base/tensor_view.h"
#include "core/format/coded_scales.h"

namespace gwq {
namespace {

double WeightedError(const std::vector<float>& weights, const std::vector<float>& importance, const GroupRange& range,
                     int bits) {
  double error = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const float top = static_cast<float>((1 << bits) - 1);
    const double lost = (CodeOf(weights[i], range, top) - range.zero) * range.scale - weights[i];
    error += importance[i] * lost * lost;
  }
  return error;
}

std::vector<float> RandomWeights(size_t count, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

// The rounding is done by adding and subtracting a constant: every quotient that matters, and those beyond.
TEST(CodeOf, RoundsHalfToEvenAndClampsForEveryQuotient) {
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    const float top = static_cast<float>((1 << bits) - 1);
    for (const float zero : {0.0F, 1.0F, top}) {
      const GroupRange range{0, 0.25F, zero, false};
      for (int i = -8 * 600; i <= 8 * 600; ++i) {
        const float quotient = static_cast<float>(i) / 8;
        const float want = std::clamp(std::nearbyintf(quotient) + zero, 0.0F, top);
        ASSERT_EQ(CodeOf(quotient * 0.25F, range, top), want) << quotient << ", zero point " << zero;
      }
      for (const float huge : {1e6F, 1e30F, std::numeric_limits<float>::max()}) {
        EXPECT_EQ(CodeOf(huge, range, top), top);
        EXPECT_EQ(CodeOf(-huge, range, top), 0);
      }
    }
  }
}

TEST(RangeOf, IsThatOfGroupsRoundedToNearest) {
  std::mt19937 random(1);
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    for (int turn = 0; turn < 50; ++turn) {
      std::vector<float> weights = RandomWeights(24, random);
      if (turn % 3 == 0) {
        for (float& weight : weights) weight = std::fabs(weight) + 2;
      }
      std::vector<uint8_t> codes(24);
      const GroupCodes group = QuantizeGroup(weights, bits, codes);
      const GroupRange range = RangeOf(weights, bits);
      EXPECT_EQ(range.stored, group.scale);
      EXPECT_EQ(range.scale, HalfToFloat(group.scale));
      EXPECT_EQ(range.zero, group.zero);
      for (size_t i = 0; i < 24; ++i) {
        EXPECT_EQ(CodeOf(weights[i], range, static_cast<float>((1 << bits) - 1)), codes[i]);
      }
    }
  }
}

TEST(SearchRange, IsTheBestOfTheRatios) {
  std::mt19937 random(2);
  std::uniform_real_distribution<float> uniform(0, 3);
  int moved = 0;
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) {
    for (int turn = 0; turn < 50; ++turn) {
      const std::vector<float> weights = RandomWeights(32, random);
      std::vector<float> importance(32);
      for (float& one : importance) one = uniform(random);
      const GroupRange found = SearchRange(weights, importance, bits);
      const double error = WeightedError(weights, importance, found, bits);
      for (int i = 0; i < 25; ++i) {
        const GroupRange other = RangeOf(weights, bits, 1.0F - 0.025F * static_cast<float>(i));
        EXPECT_LE(error, WeightedError(weights, importance, other, bits) * (1 + 1e-5)) << i;
      }
      moved += found.stored != RangeOf(weights, bits).stored ? 1 : 0;
    }
  }
  EXPECT_GT(moved, 50) << "with few bits a smaller range is often better";
}

TEST(SearchRange, OfEqualErrorsTakesTheLargerRange) {
  const std::vector<float> weights = {1, -2, 3};
  const GroupRange whole = RangeOf(weights, 3);
  const GroupRange found = SearchRange(weights, std::vector<float>(3, 0.0F), 3);
  EXPECT_EQ(found.stored, whole.stored);
  EXPECT_EQ(found.zero, whole.zero);
}

TEST(SearchRange, StoresAScaleAsACodeOfItsRowsScale) {
  std::mt19937 random(3);
  const uint16_t row_scale = FloatToHalf(2.0F);
  for (int turn = 0; turn < 50; ++turn) {
    const std::vector<float> weights = RandomWeights(32, random);
    const GroupRange found = SearchRange(weights, std::vector<float>(32, 1.0F), 3, {8, row_scale});
    EXPECT_GE(found.stored, 1);
    EXPECT_LE(found.stored, 255);
    EXPECT_EQ(found.scale, CodedScale(static_cast<uint8_t>(found.stored), row_scale));
  }
}

TEST(SearchRange, OfZerosIsTheSmallestScale) {
  const GroupRange found = SearchRange(std::vector<float>(8), std::vector<float>(8, 1.0F), 4);
  EXPECT_EQ(found.scale, 0x1p-24F);
  EXPECT_EQ(found.zero, 0);
  EXPECT_FALSE(found.saturated);
}

TEST(SearchRange, AWeightWithoutImportanceCountsForTheRangeAlone) {
  std::vector<float> weights(16, 0.0F), importance(16, 1.0F);
  for (size_t i = 0; i < 15; ++i) weights[i] = i % 2 == 0 ? 0.5F : -0.5F;
  weights[15] = 8;
  const GroupRange weighed = SearchRange(weights, importance, 4);
  importance[15] = 0;
  const GroupRange ignored = SearchRange(weights, importance, 4);
  EXPECT_LT(ignored.scale, weighed.scale) << "the large weight is given up for the others";
  EXPECT_GE(ignored.scale, RangeOf(weights, 4, 0.4F).scale) << "its ratio is still of the whole range";
}

TEST(SearchRange, TellsThatTheScaleIsSaturated) {
  const std::vector<float> weights(8, std::numeric_limits<float>::max());
  const GroupRange found = SearchRange(weights, std::vector<float>(8, 1.0F), 2);
  EXPECT_EQ(found.scale, 65504.0F);
  EXPECT_TRUE(found.saturated);
}

}  // namespace
}  // namespace gwq
