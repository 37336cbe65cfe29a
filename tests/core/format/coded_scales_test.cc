// Scales of 8 bits against the formulas of coded_scales.h.
#include "core/format/coded_scales.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "core/base/tensor_view.h"

namespace gwq {
namespace {

constexpr uint16_t kLargestHalf = 0x7BFF;

// All codes and every row scale: the product in single precision is the exact one.
TEST(CodedScales, AreExactInSinglePrecision) {
  for (uint16_t half = 1; half <= kLargestHalf; ++half) {
    const double row_scale = HalfToFloat(half);
    for (int code : {1, 2, 3, 85, 127, 128, 170, 251, 254, 255}) {
      ASSERT_EQ(static_cast<double>(CodedScale(static_cast<uint8_t>(code), half)), code * row_scale / 256.0)
          << half << " " << code;
    }
  }
}

struct Rounded {
  uint16_t row_scale;
  std::vector<uint8_t> codes;
};

Rounded Round(const std::vector<float>& scales) {
  Rounded out;
  out.codes.resize(scales.size());
  out.row_scale = RoundRowScales(scales, out.codes);
  return out;
}

TEST(CodedScales, TheRowScaleIsTheSmallestThatReachesTheLargestScale) {
  std::mt19937 random(9);
  std::uniform_real_distribution<double> exponent(-24.0, 15.9);
  for (int i = 0; i < 20000; ++i) {
    const auto largest = static_cast<float>(std::exp2(exponent(random)));
    const Rounded row = Round({largest, largest / 3});
    const auto reaches = [&](int half) {
      return 255.0 * static_cast<double>(HalfToFloat(static_cast<uint16_t>(half))) >=
             256.0 * static_cast<double>(largest);
    };
    ASSERT_TRUE(reaches(row.row_scale) || row.row_scale == kLargestHalf) << largest;
    ASSERT_FALSE(row.row_scale > 1 && reaches(row.row_scale - 1)) << largest;
  }
}

TEST(CodedScales, EveryScaleIsRoundedToTheNearestCode) {
  std::mt19937 random(10);
  std::uniform_real_distribution<float> scale(0.0001F, 0.05F);
  for (int i = 0; i < 200; ++i) {
    std::vector<float> scales(9);
    for (float& value : scales) value = scale(random);
    const Rounded row = Round(scales);
    for (size_t group = 0; group < scales.size(); ++group) {
      const double lost = std::abs(static_cast<double>(CodedScale(row.codes[group], row.row_scale)) - scales[group]);
      // Half a step; code 0 is not used.
      const double step = static_cast<double>(HalfToFloat(row.row_scale)) / 256.0;
      ASSERT_LE(lost, row.codes[group] == 1 ? step : step / 2) << scales[group];
    }
  }
}

TEST(CodedScales, TiesGoToTheEvenCode) {
  // R is 256 / 255 rounded up to the 1.00390625 of FP16 and a step R / 256.
  const float step = CodedScale(1, Round({1.0F}).row_scale);
  EXPECT_EQ(Round({1.0F, 2.5F * step, 3.5F * step}).codes, (std::vector<uint8_t>{255, 2, 4}));
}

TEST(CodedScales, TheEndsOfTheRangeAreKept) {
  EXPECT_EQ(Round({0x1p-24F}).row_scale, 2) << "the smallest scale of FP16";
  EXPECT_EQ(CodedScale(Round({0x1p-24F}).codes[0], 2), 0x1p-24F);
  EXPECT_EQ(Round({65504.0F}).row_scale, kLargestHalf);
  EXPECT_EQ(Round({65504.0F}).codes[0], 255);
  EXPECT_EQ(Round({0.0F, -1.0F}).codes, (std::vector<uint8_t>{1, 1}));
  EXPECT_EQ(Round({0.0F}).row_scale, 1);
}

}  // namespace
}  // namespace gwq
