// Every operation of a pass in plain double arithmetic: what backends are compared with.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "core/backend/backend.h"

namespace gwq::testing {

// Row-major.
struct Matrix {
  int64_t rows = 0;
  int64_t cols = 0;
  std::vector<double> values;

  [[nodiscard]] double at(int64_t row, int64_t col) const { return values[static_cast<size_t>(row * cols + col)]; }
  [[nodiscard]] double& at(int64_t row, int64_t col) { return values[static_cast<size_t>(row * cols + col)]; }
};

[[nodiscard]] Matrix Zeros(int64_t rows, int64_t cols);
[[nodiscard]] Matrix FromFloats(int64_t rows, int64_t cols, std::span<const float> values);
[[nodiscard]] std::vector<float> RandomFloats(int64_t count, double deviation, std::mt19937& random);

// x W^T + bias; an empty bias adds nothing.
[[nodiscard]] Matrix LinearSlow(const Matrix& x, const Matrix& weight, std::span<const double> bias);
[[nodiscard]] Matrix RmsNormSlow(const Matrix& x, std::span<const double> weight, double epsilon);
[[nodiscard]] Matrix LayerNormSlow(const Matrix& x, std::span<const double> weight, std::span<const double> bias,
                                   double epsilon);
// Turns every head of every row by given angles [rows, head_dim / 2].
[[nodiscard]] Matrix TurnSlow(const Matrix& x, int64_t head_dim, std::span<const float> angles);
// Turns every head of every row; positions [axes, rows].
[[nodiscard]] Matrix RopeSlow(const Matrix& x, const Rope& rope, int64_t head_dim, std::span<const int32_t> positions);
// Row i of `queries` attends to the first first_visible + i rows of keys and values, as far as there are any.
[[nodiscard]] Matrix AttendSlow(const Matrix& queries, const Matrix& keys, const Matrix& values, int64_t first_visible,
                                const AttentionShape& shape);
[[nodiscard]] double GateSlow(Gate kind, double x);

// The largest difference over the largest magnitude expected (1 if all are below 1).
[[nodiscard]] double RelativeError(std::span<const float> actual, const Matrix& expected);

}  // namespace gwq::testing
