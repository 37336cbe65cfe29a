// Which GGUF type each matrix of an export takes. Private to core/export.
#pragma once

#include <string>

#include "core/format/packed_matrix.h"
#include "core/format/tensor_spec.h"
#include "core/io/gguf.h"
#include "core/spec/export_options.h"

namespace gwq {

// Of a packed matrix:
// - without a type in the options, and for embeddings and the head, the smallest type that keeps its codes: Q4_0 for 2
//   and 3 bits, Q4_1 for 4 bits and Q5_1 for 5 (their minimum is rounded), Q8_0 for 6 to 8 bits, whose codes are
//   rounded, and for groups that are no whole blocks of 32 and other stored formats than affine
// - else the type of the options; where rows are no whole blocks of 256, a k-quant gives way to a type of blocks of 32:
//   Q4_0 for Q2_K and Q3_K, Q4_1 for Q4_K, Q5_1 for Q5_K, Q8_0 for Q6_K
// With outliers and "wider": Q8_0, or F16 if it has 8 bits already; with "fold": F16.
// F16 where rows are no whole blocks of 32.
[[nodiscard]] GgmlType GgufTypeOf(const PackedShape& packed, TensorKind kind, const ExportOptions& options);

}  // namespace gwq
