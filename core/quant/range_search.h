// The range of a group by the least weighted error, not by its minimum and maximum.
//
// With low, high and top as in group_quantize.h, for each of the 25 ratios r = 1.0, 0.975, ..., 0.4:
//   scale = max(half((r high - r low) / top), 2^-24)    zero = clamp(round(-(r low) / scale), 0, top)
// where the scale is stored in 8 bits it is then what its code gives, and the codes that follow; the r with the least
// sum of importance * (w - w')^2 wins, of equal ones the larger.
#pragma once

#include <cstdint>
#include <span>

#include "core/quant/group_quantize.h"

namespace gwq {

// How a group's scale is stored: FP16 by itself, or a code against its row's scale (core/format/coded_scales.h).
struct ScaleForm {
  int bits = 16;
  uint16_t row_scale = 0;  // FP16 bits, where bits is 8
};

// Scale and zero point of a group, widened.
struct GroupRange {
  uint16_t stored = 0;  // the scale's FP16 bits, or its code
  float scale = 0;
  float zero = 0;
  bool saturated = false;
  float error = 0;  // where it was searched: the sum of importance * (w - w')^2
};

// Of `weights` with their minimum and maximum times `ratio`.
[[nodiscard]] GroupRange RangeOf(std::span<const float> weights, int bits, float ratio = 1.0F,
                                 const ScaleForm& form = {});
// `importance` has a value >= 0 for each weight; a weight of importance 0 counts for the range alone. With fewer
// `ratios` than 25 they are as many from 1.0 to 0.4, evenly.
[[nodiscard]] GroupRange SearchRange(std::span<const float> weights, std::span<const float> importance, int bits,
                                     const ScaleForm& form = {}, int ratios = 25);

// clamp(round(w / scale) + zero, 0, 2^bits - 1), round half to even.
[[nodiscard]] inline float CodeOf(float weight, const GroupRange& range, float top) {
  // Adding 1.5 * 2^23 leaves no bits for a fraction, so the sum is rounded half to even, as nearbyint does, in an
  // instruction that vectorizes on every x86-64. Clamped first: beyond the codes' range the trick is not exact.
  constexpr float kRound = 12582912.0F;
  float quotient = weight / range.scale;
  quotient = quotient < -256.0F ? -256.0F : quotient;
  quotient = quotient > 512.0F ? 512.0F : quotient;
  float code = ((quotient + kRound) - kRound) + range.zero;
  code = code < 0.0F ? 0.0F : code;
  return code > top ? top : code;
}

}  // namespace gwq
