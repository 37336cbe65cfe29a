// The outliers of a packed matrix in the order the kernels of matrix_tiles.h read them.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "core/backend/cpu/kernels/matrix_tiles.h"
#include "core/backend/cpu/weight_memory.h"
#include "core/format/packed_matrix.h"

namespace gwq {

// As built, before they are moved to where weights live.
struct SparseLists {
  int64_t segments = 0;
  std::vector<uint32_t> first_mask;
  std::vector<uint64_t> first_entry;
  std::vector<uint16_t> masks;
  std::vector<uint32_t> entries;

  // Copies the lists to `span`'s memory and points the sparse fields of `tiles` there. RESOURCE_EXHAUSTED if it
  // cannot be had.
  [[nodiscard]] absl::Status MoveTo(WeightMemory& memory, WeightSpan& span, MatrixTiles& tiles) const;
};

[[nodiscard]] SparseLists BuildSparseLists(const PackedView& view);
// The most bytes that MoveTo takes for the lists of a matrix of this shape, wherever its outliers stand.
[[nodiscard]] uint64_t MostSparseBytes(const PackedShape& shape);

// Overwrites the outliers of `row` in `out`, which holds its other weights.
void PutOutliersOfRow(const MatrixTiles& tiles, int64_t row, float* out);

}  // namespace gwq
