// A packed matrix as rows of integers on grids: what compressed-tensors and GPTQ store of it. Private to core/export.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/export/loss.h"

namespace gwq {

// A weight is (code - zero) * scale of its group.
struct IntegerShape {
  int64_t rows = 0;
  int64_t cols = 0;
  int bits = 0;            // of codes and zero points, 1 to 8
  int64_t group_size = 0;  // columns; divides cols
  [[nodiscard]] int64_t groups() const { return cols / group_size; }
};
struct IntegerRow {
  std::vector<uint8_t> codes;    // cols
  std::vector<uint8_t> zeros;    // groups
  std::vector<uint16_t> scales;  // FP16 bits, groups
};

// The largest group size that divides `cols` and whose groups lie inside the matrix's own: there a group is as it was,
// or is cut into equal ones. Groups of 64 in rows of 96 become groups of 32.
[[nodiscard]] int64_t DividingGroup(const PackedShape& shape);

// Visits the rows in order and adds what they lose to `loss`. `shape.group_size` is DividingGroup's.
// - With the matrix's bits a group keeps scale, zero point and codes; an outlier gets the nearest code. A scale that
//   FP16 cannot hold (scale_bits 8) is rounded.
// - With more bits a group that holds weights off its grid takes the finer or wider grid with the least squared error:
//   its scale divided by a power of two, which keeps all weights that are no outliers, or one from least to largest
//   weight.
[[nodiscard]] absl::Status ForEachIntegerRow(
    const PackedTensor& tensor, const IntegerShape& shape, WeightLoss& loss,
    absl::FunctionRef<absl::Status(int64_t row, const IntegerRow& integers)> visit);

}  // namespace gwq
