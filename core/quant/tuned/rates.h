// The learning rates of the method "tuned", of the first step of each part; they fall linearly to 0. All were found by
// experiments on SmolLM2-135M (docs/method.md, "What the rates and steps gain").
#pragma once

#include <algorithm>
#include <cmath>

namespace gwq {

// Of the learned rounding of a block.
struct LearningRates {
  float code = 0;     // of u, in codes
  float scale = 0;    // of l
  float outlier = 0;  // of v, in steps of its group's scale
};

// With more than 64 steps, all of them together move a code as far as 64 do: at most 0.4. The steps of l are like those
// of a random walk, which gets as far with the root of their number.
[[nodiscard]] inline LearningRates BlockRates(int steps) {
  const float share = std::min(1.0F, 64.0F / static_cast<float>(std::max(steps, 1)));
  return {.code = 0.0125F * share, .scale = 0.003F * std::sqrt(share), .outlier = 0.00125F * share};
}

// Of the scales of a matrix when the whole model is tuned, which is 0.002 at 3 bits. The error of rounding falls by
// half with each bit, and what the rates' noise may cost against it by a quarter.
[[nodiscard]] inline float ScaleRate(double bits) {
  return 0.002F * static_cast<float>(std::clamp(std::exp2(3 - bits), 0.25, 2.0));
}
// Of the norms, by the mean bits of all matrices.
[[nodiscard]] inline float NormRate(double bits) { return ScaleRate(bits) / 2; }

}  // namespace gwq
