// Scales of 8 bits: a row has one FP16 scale R, each of its groups a code c from 1 to 255, and the group's scale is
//
//     c * R / 256        exact in single precision: 8 bits times 11 bits
//
// R is divided by 256 and not by 255, so that no division rounds and R itself is near the row's largest scale; a row
// scale of largest / 255 would fall among FP16's subnormal numbers for usual weights.
#pragma once

#include <cstdint>
#include <span>

namespace gwq {

// `row_scale`: FP16 bits.
[[nodiscard]] float CodedScale(uint8_t code, uint16_t row_scale);

// The code of a scale: 256 * scale / R, rounded to the nearest whole number, ties to even, clamped to [1, 255].
[[nodiscard]] uint8_t ScaleCode(float scale, uint16_t row_scale);

// The row scale, FP16 bits, for groups that want `scales`, and their codes:
// - R is the smallest positive FP16 number with 255 * R / 256 at least the largest scale, at most 65504
// - codes as ScaleCode gives them
// Scales are finite; one of zero or below gets code 1. `codes` has scales.size() of them. A quantizer that wants the
// least error computes its codes of weights after this, on the scales that CodedScale gives.
[[nodiscard]] uint16_t RoundRowScales(std::span<const float> scales, std::span<uint8_t> codes);

}  // namespace gwq
