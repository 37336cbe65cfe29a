// An order that a seed draws, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/draw.h"

namespace gwq {

// Numbers 0 to count - 1 in an order that `seed` draws (Fisher and Yates).
[[nodiscard]] inline std::vector<size_t> Shuffled(size_t count, uint64_t seed) {
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  for (size_t i = count; i > 1; --i) std::swap(order[i - 1], order[Draw(seed, i) % i]);
  return order;
}

}  // namespace gwq
