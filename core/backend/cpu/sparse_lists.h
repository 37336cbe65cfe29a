// The outliers of a packed matrix in the order the kernels of matrix_tiles.h read them.
#pragma once

#include <cstdint>
#include <vector>

#include "core/backend/cpu/matrix_tiles.h"
#include "core/format/packed_matrix.h"

namespace gwq {

struct SparseLists {
  int64_t segments = 0;
  std::vector<uint32_t> first_mask;
  std::vector<uint64_t> first_entry;
  std::vector<uint16_t> masks;
  std::vector<uint32_t> entries;

  [[nodiscard]] uint64_t bytes() const;
  // Points the sparse fields of `tiles` here.
  void Describe(MatrixTiles& tiles) const;
};

[[nodiscard]] SparseLists BuildSparseLists(const PackedView& view);

// Overwrites the outliers of `row` in `out`, which holds its other weights.
void PutOutliersOfRow(const MatrixTiles& tiles, int64_t row, float* out);

}  // namespace gwq
