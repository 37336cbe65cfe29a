#include "core/backend/cpu/sparse_lists.h"

#include <algorithm>
#include <array>
#include <bit>

#include "core/base/tensor_view.h"

namespace gwq {
namespace {

// Entries of one list, by row of the tile, in order of columns.
using TileRows = std::array<std::vector<uint32_t>, kTileRows>;

void AppendList(const TileRows& rows, SparseLists& lists) {
  size_t longest = 0;
  for (const auto& row : rows) longest = std::max(longest, row.size());
  for (size_t rank = 0; rank < longest; ++rank) {
    uint32_t mask = 0;
    for (size_t row = 0; row < rows.size(); ++row) {
      if (rank >= rows[row].size()) continue;
      mask |= 1u << row;
      lists.entries.push_back(rows[row][rank]);
    }
    lists.masks.push_back(static_cast<uint16_t>(mask));
  }
  lists.first_mask.push_back(static_cast<uint32_t>(lists.masks.size()));
  lists.first_entry.push_back(lists.entries.size());
}

}  // namespace

uint64_t SparseLists::bytes() const {
  return first_mask.size() * sizeof(uint32_t) + first_entry.size() * sizeof(uint64_t) +
         masks.size() * sizeof(uint16_t) + entries.size() * sizeof(uint32_t);
}

void SparseLists::Describe(MatrixTiles& tiles) const {
  tiles.segments = segments;
  tiles.first_mask = first_mask.data();
  tiles.first_entry = first_entry.data();
  tiles.masks = masks.data();
  tiles.entries = entries.data();
}

SparseLists BuildSparseLists(const PackedView& view) {
  SparseLists lists;
  const PackedShape& shape = view.shape();
  if (shape.outliers == 0) return lists;
  lists.segments = RoundUp(shape.cols, kSparseSegment) / kSparseSegment;
  lists.entries.reserve(static_cast<size_t>(shape.outliers));
  lists.first_mask.push_back(0);
  lists.first_entry.push_back(0);
  std::vector<TileRows> tile(static_cast<size_t>(lists.segments));
  int64_t current = 0;
  const auto flush_until = [&](int64_t next) {
    for (; current < next; ++current) {
      for (TileRows& rows : tile) {
        AppendList(rows, lists);
        for (auto& row : rows) row.clear();
      }
    }
  };
  view.ForEachOutlier([&](const PackedView::Outlier& outlier) {
    flush_until(outlier.row / kTileRows);
    auto& rows = tile[static_cast<size_t>(outlier.col / kSparseSegment)];
    rows[static_cast<size_t>(outlier.row % kTileRows)].push_back(static_cast<uint32_t>(outlier.col % kSparseSegment) |
                                                                 static_cast<uint32_t>(outlier.half) << 16);
  });
  flush_until(RoundUp(shape.rows, kTileRows) / kTileRows);
  lists.masks.shrink_to_fit();
  return lists;
}

void PutOutliersOfRow(const MatrixTiles& tiles, int64_t row, float* out) {
  const uint32_t bit = 1u << (row % kTileRows);
  for (int64_t segment = 0; segment < tiles.segments; ++segment) {
    const int64_t list = row / kTileRows * tiles.segments + segment;
    const uint32_t* entry = tiles.entries + tiles.first_entry[list];
    for (uint32_t rank = tiles.first_mask[list]; rank < tiles.first_mask[list + 1]; ++rank) {
      const uint32_t mask = tiles.masks[rank];
      if ((mask & bit) != 0) {
        const uint32_t own = entry[std::popcount(mask & (bit - 1))];
        out[segment * kSparseSegment + (own & 0xffffu)] = HalfToFloat(static_cast<uint16_t>(own >> 16));
      }
      entry += std::popcount(mask);
    }
  }
}

}  // namespace gwq
