// A Solver by the textbook, for tests: slow, in double precision, without a library.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "core/backend/solver.h"

namespace gwq::testing {

// Inverts the matrix by its Cholesky factor and factors the inverse: another way to U than that of the solvers it
// checks. Thread-safe.
class NaiveSolver : public Solver {
 public:
  [[nodiscard]] absl::StatusOr<std::vector<float>> InverseFactor(std::span<const float> matrix,
                                                                 int64_t size) const override {
    const auto n = static_cast<size_t>(size);
    const std::vector<double> lower = Cholesky({matrix.begin(), matrix.end()}, n);
    if (lower.empty()) {
      return absl::FailedPreconditionError(fmt::format("the matrix of {} rows is not positive definite", size));
    }
    const std::vector<double> second = Cholesky(InverseOf(lower, n), n);
    if (second.empty()) return absl::FailedPreconditionError("the inverse is not positive definite");
    std::vector<float> upper(n * n);
    for (size_t row = 0; row < n; ++row) {
      for (size_t col = row; col < n; ++col) upper[row * n + col] = static_cast<float>(second[col * n + row]);
    }
    return upper;
  }

  [[nodiscard]] absl::Status AddGram(std::span<const float> rows, int64_t width, std::span<float> sum) const override {
    const auto n = static_cast<size_t>(width);
    for (size_t i = 0; i < n * n; ++i) {
      double added = 0;
      for (size_t row = 0; row < rows.size(); row += n) {
        added += static_cast<double>(rows[row + i / n]) * rows[row + i % n];
      }
      sum[i] += static_cast<float>(added);
    }
    return absl::OkStatus();
  }

  [[nodiscard]] absl::StatusOr<std::vector<float>> Multiply(std::span<const float> rows, std::span<const float> matrix,
                                                            int64_t width) const override {
    const auto n = static_cast<size_t>(width);
    std::vector<float> product(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      double sum = 0;
      for (size_t k = 0; k < n; ++k) sum += static_cast<double>(rows[i / n * n + k]) * matrix[k * n + i % n];
      product[i] = static_cast<float>(sum);
    }
    return product;
  }

 private:
  // Lower triangular L with A = L L^T; empty if A is not positive definite.
  static std::vector<double> Cholesky(const std::vector<double>& a, size_t n) {
    std::vector<double> lower(n * n);
    for (size_t row = 0; row < n; ++row) {
      for (size_t col = 0; col <= row; ++col) {
        double sum = a[row * n + col];
        for (size_t k = 0; k < col; ++k) sum -= lower[row * n + k] * lower[col * n + k];
        if (row == col && !(sum > 0)) return {};
        lower[row * n + col] = row == col ? std::sqrt(sum) : sum / lower[col * n + col];
      }
    }
    return lower;
  }

  // (L L^T)^-1 by one unit vector after the other.
  static std::vector<double> InverseOf(const std::vector<double>& lower, size_t n) {
    std::vector<double> inverse(n * n);
    for (size_t unit = 0; unit < n; ++unit) {
      std::vector<double> x(n);
      for (size_t row = 0; row < n; ++row) {
        double sum = row == unit ? 1.0 : 0.0;
        for (size_t k = 0; k < row; ++k) sum -= lower[row * n + k] * x[k];
        x[row] = sum / lower[row * n + row];
      }
      for (size_t row = n; row-- > 0;) {
        for (size_t k = row + 1; k < n; ++k) x[row] -= lower[k * n + row] * x[k];
        x[row] /= lower[row * n + row];
      }
      for (size_t row = 0; row < n; ++row) inverse[row * n + unit] = x[row];
    }
    return inverse;
  }
};

}  // namespace gwq::testing
