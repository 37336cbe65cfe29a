// Packed matrices of random codes, for speed alone.
#pragma once

#include <cstddef>
#include <vector>

#include "core/format/packed_matrix.h"

namespace gwq::bench {

// floor(ratio * weights) outliers, spread over the matrix; values near what a trained matrix has. With scale_bits 8 in
// version 2.
[[nodiscard]] std::vector<std::byte> RandomPacked(int64_t rows, int64_t cols, int bits, int64_t group_size,
                                                  double ratio, int scale_bits = 16);

}  // namespace gwq::bench
