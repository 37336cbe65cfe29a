// The measure of size that recipes, plans and reports share.
#pragma once

#include <cstdint>

namespace gwq {

// bytes * 8 / weights; 0 without weights.
[[nodiscard]] inline double BitsPerWeight(uint64_t bytes, uint64_t weights) {
  return weights == 0 ? 0.0 : static_cast<double>(bytes) * 8 / static_cast<double>(weights);
}

}  // namespace gwq
