#include "core/backend/cpu/sparse_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

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

template <class T>
size_t Size(const std::vector<T>& values) {
  return values.size() * sizeof(T);
}

template <class T>
const T* Put(const std::vector<T>& values, std::byte*& at) {
  if (!values.empty()) std::memcpy(at, values.data(), Size(values));
  const T* const begin = reinterpret_cast<const T*>(at);
  at += Size(values);
  return begin;
}

}  // namespace

absl::Status SparseLists::MoveTo(WeightMemory& memory, WeightSpan& span, MatrixTiles& tiles) const {
  if (segments == 0) return absl::OkStatus();
  const size_t bytes = Size(first_entry) + Size(first_mask) + Size(entries) + Size(masks);
  span = memory.Allocate(bytes);
  std::byte* at = span.as<std::byte>();
  if (at == nullptr) return absl::ResourceExhaustedError(fmt::format("no memory for {} bytes of outliers", bytes));
  // Widest elements first, so that each array stands aligned.
  tiles.segments = segments;
  tiles.first_entry = Put(first_entry, at);
  tiles.first_mask = Put(first_mask, at);
  tiles.entries = Put(entries, at);
  tiles.masks = Put(masks, at);
  return absl::OkStatus();
}

uint64_t MostSparseBytes(const PackedShape& shape) {
  if (shape.outliers == 0) return 0;
  const int64_t segments = RoundUp(shape.cols, kSparseSegment) / kSparseSegment;
  const int64_t lists = RoundUp(shape.rows, kTileRows) / kTileRows * segments;
  // In the worst case every outlier has a rank, and so a mask, of its own.
  const auto outliers = static_cast<uint64_t>(shape.outliers);
  return static_cast<uint64_t>(lists + 1) * (sizeof(uint64_t) + sizeof(uint32_t)) +
         outliers * (sizeof(uint32_t) + sizeof(uint16_t));
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
