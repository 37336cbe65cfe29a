// The matrix by which GPTQ compensates.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/solver.h"
#include "core/format/packed_matrix.h"

namespace gwq {

// The upper triangular U with (G + damping * mean(diag G) * I)^-1 = U^T U, where G is the Gram matrix [size, size] with
// columns and rows in `order` (empty: as they are) and, before the mean is taken, a diagonal of 1 if it is 0 (an
// input that is always 0). If that is not positive definite in single precision, with ten times the damping, up to
// 1. FAILED_PRECONDITION naming `tensor`, row and column if G is not finite. Source: arXiv 2210.17323, section 3.3
// and its published code.
[[nodiscard]] absl::StatusOr<std::vector<float>> CompensationFactor(std::span<const float> gram, int64_t size,
                                                                    double damping, std::span<const int32_t> order,
                                                                    std::string_view tensor, const Solver& solver);

// Columns by falling diagonal of the Gram matrix as it was summed; of equal ones the lower column comes first.
[[nodiscard]] std::vector<int32_t> ActivationOrder(std::span<const float> gram, int64_t size);

// Upper bound of the bytes that CompensationFactor and CompensateColumns take for a matrix of this shape: the damped
// matrix, four of its size in the solver, of which the factor is one and whose others make room for the rows that the
// threads work in, and the codes.
[[nodiscard]] uint64_t CompensationBytes(const PackedShape& shape);

}  // namespace gwq
