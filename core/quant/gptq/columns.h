// GPTQ's loop over columns.
//
// For each row w of the matrix, with U from CompensationFactor, columns j in order:
//   at the first column of a group: its range, from the weights as they are now; an outlier counts as 0 and weighs
//     nothing. (Where ColumnsInput::order is given, all ranges are taken first, from the weights as they came.)
//   w'_j = what the group's range makes of w_j; of an outlier FP16(w_j)
//   e_j  = (w_j - w'_j) / U_jj         w_k -= e_j U_jk for all later k
//     An e_j that overflows is taken as 0, and the weight counts as saturated.
// A searched range weighs the error of column j by 1 / U_jj^2, which is what it adds to the output's error. Source:
// arXiv 2210.17323, algorithm 1, where the inner product of a block of columns is applied to the rest at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/base/tensor_view.h"
#include "core/base/thread_pool.h"
#include "core/quant/group_quantize.h"

namespace gwq {

struct ColumnsInput {
  TensorView weights;                 // [rows, cols], finite
  PackedShape shape;                  // with the number of outliers
  std::span<const float> factor;      // U [cols, cols], in `order`
  std::span<const int32_t> order;     // of columns; empty: as they are. Given, ranges are fixed before the first column
  std::span<const int64_t> outliers;  // flat positions in increasing order
  bool range_search = true;
};

// Content and number of saturated values; errors are not measured. The result does not depend on the pool's size. Holds
// a few rows per thread.
[[nodiscard]] QuantizedMatrix CompensateColumns(const ColumnsInput& input, ThreadPool& pool);

}  // namespace gwq
