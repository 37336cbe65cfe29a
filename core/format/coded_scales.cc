#include "core/format/coded_scales.h"

#include <algorithm>
#include <cmath>

#include "core/base/tensor_view.h"

namespace gwq {
namespace {

constexpr uint16_t kLargestHalf = 0x7BFF;

// Whether code 255 reaches `scale`; exact in double precision.
bool Reaches(uint16_t row_scale, double scale) {
  return 255.0 * static_cast<double>(HalfToFloat(row_scale)) >= 256.0 * scale;
}

// Positive FP16 numbers are ordered as their bits: a guess is walked to the smallest one that reaches.
uint16_t SmallestRowScale(double largest) {
  const auto guess = FloatToHalf(static_cast<float>(std::max(largest, 0.0) * 256.0 / 255.0));
  uint16_t half = std::clamp<uint16_t>(guess, 1, kLargestHalf);
  while (half < kLargestHalf && !Reaches(half, largest)) ++half;
  while (half > 1 && Reaches(static_cast<uint16_t>(half - 1), largest)) --half;
  return half;
}

}  // namespace

float CodedScale(uint8_t code, uint16_t row_scale) {
  return static_cast<float>(code) * (HalfToFloat(row_scale) * 0x1p-8F);
}

uint8_t ScaleCode(float scale, uint16_t row_scale) {
  const double code = std::nearbyint(256.0 * static_cast<double>(scale) / static_cast<double>(HalfToFloat(row_scale)));
  return static_cast<uint8_t>(std::clamp(code, 1.0, 255.0));
}

uint16_t RoundRowScales(std::span<const float> scales, std::span<uint8_t> codes) {
  const float largest = scales.empty() ? 0.0F : *std::ranges::max_element(scales);
  const uint16_t half = SmallestRowScale(largest);
  for (size_t i = 0; i < scales.size(); ++i) codes[i] = ScaleCode(scales[i], half);
  return half;
}

}  // namespace gwq
