#include "core/base/tensor_view.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace gwq {
namespace {

// The value of a half from IEEE 754's definition, in double.
double HalfValue(uint16_t bits) {
  const int sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = (bits >> 10) & 0x1f;
  const int mantissa = bits & 0x3ff;
  if (exponent == 0x1f) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(HalfTest, EveryHalfWidensToItsValueAndComesBack) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const double value = HalfValue(half);
    const float widened = HalfToFloat(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(widened)) << bits;
      EXPECT_TRUE(std::isnan(HalfToFloat(FloatToHalf(widened)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(widened), value) << bits;
    ASSERT_EQ(FloatToHalf(widened), half) << bits;
  }
}

TEST(HalfTest, BetweenTwoHalvesTheNearestIsTakenAndTheEvenOneInTheMiddle) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<uint16_t>(bits), high = static_cast<uint16_t>(bits + 1);
    const double middle = (HalfValue(low) + HalfValue(high)) / 2;
    const auto exact = static_cast<float>(middle);
    ASSERT_EQ(static_cast<double>(exact), middle);
    ASSERT_EQ(FloatToHalf(exact), (bits & 1) == 0 ? low : high) << bits;
    ASSERT_EQ(FloatToHalf(std::nextafter(exact, 0.0F)), low) << bits;
    ASSERT_EQ(FloatToHalf(std::nextafter(exact, 1e9F)), high) << bits;
  }
}

TEST(HalfTest, WhatIsTooLargeBecomesInfinity) {
  EXPECT_EQ(FloatToHalf(65504.0F), 0x7bff);
  EXPECT_EQ(FloatToHalf(65519.99F), 0x7bff);
  EXPECT_EQ(FloatToHalf(65520.0F), 0x7c00);
  EXPECT_EQ(FloatToHalf(-1e30F), 0xfc00);
  EXPECT_EQ(FloatToHalf(std::numeric_limits<float>::infinity()), 0x7c00);
}

TEST(BFloat16Test, EveryPatternIsTheUpperHalfOfAFloat) {
  for (uint32_t bits = 0; bits <= 0xffff; ++bits) {
    ASSERT_EQ(std::bit_cast<uint32_t>(BFloat16ToFloat(static_cast<uint16_t>(bits))), bits << 16);
  }
}

TEST(DTypeTest, NamesGoThereAndBack) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kI64, DType::kI32, DType::kI16, DType::kI8,
                           DType::kU8, DType::kBool, DType::kF64}) {
    const auto parsed = ParseDType(DTypeName(type));
    ASSERT_TRUE(parsed.ok());
    EXPECT_EQ(*parsed, type);
  }
  EXPECT_EQ(ParseDType("F8").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ElementCountTest, RefusesWhatOverflowsAndNegativeDimensions) {
  EXPECT_EQ(*ElementCount({}), 1);
  EXPECT_EQ(*ElementCount({3, 0, 5}), 0);
  EXPECT_EQ(*ElementCount({3, 4, 5}), 60);
  EXPECT_FALSE(ElementCount({-1, 4}).ok());
  EXPECT_FALSE(ElementCount({int64_t{1} << 40, int64_t{1} << 40}).ok());
  EXPECT_EQ(*ElementCount({0, int64_t{1} << 40, int64_t{1} << 40}), 0);
}

TEST(ElementCountTest, TheLimitIsTwoToTheSixtyTwo) {
  constexpr int64_t kLimit = int64_t{1} << 62;
  EXPECT_EQ(*ElementCount({kLimit}), kLimit);
  EXPECT_EQ(*ElementCount({int64_t{1} << 31, 1, int64_t{1} << 31}), kLimit);
  EXPECT_FALSE(ElementCount({kLimit + 1}).ok());
  EXPECT_FALSE(ElementCount({kLimit, 2}).ok());
  EXPECT_FALSE(ElementCount({std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::max()}).ok());
  EXPECT_FALSE(ElementCount({0, -1}).ok()) << "a negative dimension is none, whatever stands before it";
}

TEST(DTypeTest, SizesAreThoseOfTheNamesAndThreeAreOfWeights) {
  for (const char* name : {"F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F64"}) {
    const DType type = *ParseDType(name);
    const std::string_view text = name;
    const size_t digits = text.find_first_of("0123456789");
    const size_t bits = digits == std::string_view::npos ? 8 : std::stoul(std::string(text.substr(digits)));
    EXPECT_EQ(DTypeSize(type) * 8, bits) << name;
    EXPECT_EQ(IsWeightType(type), text == "F32" || text == "F16" || text == "BF16") << name;
  }
}

TEST(ToFloatTest, WidensARangeOfEachWeightType) {
  const std::vector<float> f32 = {1.5F, -2.25F, 3e-5F};
  const std::vector<uint16_t> f16 = {0x3c00, 0xc000, 0x0001};
  std::vector<float> out(2);
  ToFloat({DType::kF32, {3}, std::as_bytes(std::span(f32))}, 1, out);
  EXPECT_EQ(out, (std::vector<float>{-2.25F, 3e-5F}));
  ToFloat({DType::kF16, {3}, std::as_bytes(std::span(f16))}, 0, out);
  EXPECT_EQ(out, (std::vector<float>{1.0F, -2.0F}));
  const std::vector<uint16_t> bf16 = {0x3f80, 0xc000};
  ToFloat({DType::kBF16, {2}, std::as_bytes(std::span(bf16))}, 0, out);
  EXPECT_EQ(out, (std::vector<float>{1.0F, -2.0F}));
}

}  // namespace
}  // namespace gwq
