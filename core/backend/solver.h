// Dense linear algebra that a quantizer needs and a backend's library does well. Matrices are row-major.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

class Solver {
 public:
  virtual ~Solver() = default;
  // The upper triangular U [size, size], row-major, with matrix^-1 = U^T U: the factor whose rows GPTQ compensates with
  // (Frantar et al., arXiv 2210.17323, section 3.3). `matrix` is symmetric and row-major. FAILED_PRECONDITION if it
  // is not positive definite to working precision. Needs about four times the matrix's memory beside it.
  [[nodiscard]] virtual absl::StatusOr<std::vector<float>> InverseFactor(std::span<const float> matrix,
                                                                         int64_t size) const = 0;
  // Adds x^T x of the rows x [n, width] to `sum` [width, width].
  [[nodiscard]] virtual absl::Status AddGram(std::span<const float> rows, int64_t width,
                                             std::span<float> sum) const = 0;
  // The product [n, width] of rows [n, width] and a matrix [width, width].
  [[nodiscard]] virtual absl::StatusOr<std::vector<float>> Multiply(std::span<const float> rows,
                                                                    std::span<const float> matrix,
                                                                    int64_t width) const = 0;
};

}  // namespace gwq
