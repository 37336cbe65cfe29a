// Rotary positions of a prompt and of what follows it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace gwq {

struct PromptPositions {
  std::vector<int32_t> positions;  // [position_axes, tokens]; empty: each token's index, on every axis
  // The token at index i of the sequence behind the prompt has position i + delta on every axis. 0 with empty
  // positions.
  int32_t delta = 0;

  // Position on `axis` of `axes` of the row at `index` of the sequence: of the prompt or behind it.
  [[nodiscard]] int32_t At(int axis, int axes, int64_t index) const {
    const auto tokens = static_cast<int64_t>(positions.size()) / axes;
    if (index >= tokens) return static_cast<int32_t>(index) + delta;
    return positions[static_cast<size_t>(axis * tokens + index)];
  }
};

}  // namespace gwq
