// Which form each of many things takes so that all together are within a limit of bytes and lose the least.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gwq {

struct FormCost {
  uint64_t bytes = 0;
  double loss = 0;  // finite, >= 0
};

// For each thing the index of its form. Losses add up. `things` have at least one form each, the first of which has the
// fewest bytes; the first forms together are within `limit`.
//
// From the first forms on, the step with the greatest fall of loss per byte is taken that still fits, along the lower
// convex hull of each thing's forms; what remains is then filled with any form that loses less. That is the optimum of
// the relaxed problem (Shoham and Gersho, "Efficient bit allocation for an arbitrary set of quantizers", 1988) but for
// the last steps. O(n log n) in the number of forms.
[[nodiscard]] std::vector<size_t> ChooseForms(std::span<const std::vector<FormCost>> things, uint64_t limit);

}  // namespace gwq
