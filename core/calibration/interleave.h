// Parts of different size in one order, of which every beginning has the mix of the whole.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace gwq {

struct InterleavedItem {
  size_t part = 0;
  size_t index = 0;  // in the part
};

// All `counts[part]` items of every part, each part's in their order: item i of n stands at (i + 1/2) / n of the whole,
// of equal places the first part's first.
[[nodiscard]] inline std::vector<InterleavedItem> Interleaved(std::span<const size_t> counts) {
  std::vector<InterleavedItem> out;
  for (size_t part = 0; part < counts.size(); ++part) {
    for (size_t i = 0; i < counts[part]; ++i) out.push_back({part, i});
  }
  std::ranges::stable_sort(out, [&](const InterleavedItem& a, const InterleavedItem& b) {
    return (2 * a.index + 1) * counts[b.part] < (2 * b.index + 1) * counts[a.part];
  });
  return out;
}

}  // namespace gwq
