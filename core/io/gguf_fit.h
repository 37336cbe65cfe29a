// Scales that fit few weights. Private to core/io.
#pragma once

#include <span>

namespace gwq {

// weight ~ scale * code + minimum
struct GridFit {
  float scale = 0;
  float minimum = 0;
};

// Codes 0 to `high`. With `minimum_below_zero` the minimum is at most 0, as k-quants have it.
[[nodiscard]] GridFit FitMinimum(std::span<const float> weights, int high, bool minimum_below_zero);
// Codes `low` to `high`, no minimum; the scale may be negative.
[[nodiscard]] GridFit FitScale(std::span<const float> weights, int low, int high);

// The code of a weight on a grid, 0 where the scale is 0.
[[nodiscard]] int FitCode(const GridFit& fit, float weight, int low, int high);
[[nodiscard]] double FitError(const GridFit& fit, std::span<const float> weights, int low, int high);

}  // namespace gwq
