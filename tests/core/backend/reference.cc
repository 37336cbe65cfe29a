#include "tests/core/backend/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gwq::testing {

Matrix Zeros(int64_t rows, int64_t cols) {
  return {rows, cols, std::vector<double>(static_cast<size_t>(rows * cols), 0.0)};
}

Matrix FromFloats(int64_t rows, int64_t cols, std::span<const float> values) {
  return {rows, cols, std::vector<double>(values.begin(), values.end())};
}

std::vector<float> RandomFloats(int64_t count, double deviation, std::mt19937& random) {
  std::normal_distribution<double> normal(0.0, deviation);
  std::vector<float> out;
  for (int64_t i = 0; i < count; ++i) out.push_back(static_cast<float>(normal(random)));
  return out;
}

Matrix LinearSlow(const Matrix& x, const Matrix& weight, std::span<const double> bias) {
  Matrix out = Zeros(x.rows, weight.rows);
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t channel = 0; channel < weight.rows; ++channel) {
      double sum = bias.empty() ? 0.0 : bias[static_cast<size_t>(channel)];
      for (int64_t col = 0; col < x.cols; ++col) sum += x.at(row, col) * weight.at(channel, col);
      out.at(row, channel) = sum;
    }
  }
  return out;
}

Matrix RmsNormSlow(const Matrix& x, std::span<const double> weight, double epsilon) {
  Matrix out = Zeros(x.rows, x.cols);
  for (int64_t row = 0; row < x.rows; ++row) {
    double squares = 0;
    for (int64_t col = 0; col < x.cols; ++col) squares += x.at(row, col) * x.at(row, col);
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(x.cols) + epsilon);
    for (int64_t col = 0; col < x.cols; ++col) {
      out.at(row, col) = x.at(row, col) * inverse * weight[static_cast<size_t>(col)];
    }
  }
  return out;
}

Matrix LayerNormSlow(const Matrix& x, std::span<const double> weight, std::span<const double> bias, double epsilon) {
  Matrix out = Zeros(x.rows, x.cols);
  for (int64_t row = 0; row < x.rows; ++row) {
    double mean = 0;
    for (int64_t col = 0; col < x.cols; ++col) mean += x.at(row, col) / static_cast<double>(x.cols);
    double variance = 0;
    for (int64_t col = 0; col < x.cols; ++col) {
      variance += (x.at(row, col) - mean) * (x.at(row, col) - mean) / static_cast<double>(x.cols);
    }
    for (int64_t col = 0; col < x.cols; ++col) {
      const auto at = static_cast<size_t>(col);
      out.at(row, col) = (x.at(row, col) - mean) / std::sqrt(variance + epsilon) * weight[at] + bias[at];
    }
  }
  return out;
}

Matrix TurnSlow(const Matrix& x, int64_t head_dim, std::span<const float> angles) {
  Matrix out = x;
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t col = 0; col < x.cols; ++col) {
      const double angle = angles[static_cast<size_t>(row * half + col % head_dim % half)];
      const double other = col % head_dim < half ? -x.at(row, col + half) : x.at(row, col - half);
      out.at(row, col) = x.at(row, col) * std::cos(angle) + other * std::sin(angle);
    }
  }
  return out;
}

Matrix RopeSlow(const Matrix& x, const Rope& rope, int64_t head_dim, std::span<const int32_t> positions) {
  Matrix out = x;
  const int64_t half = head_dim / 2;
  for (int64_t row = 0; row < x.rows; ++row) {
    for (int64_t col = 0; col < x.cols; ++col) {
      const int64_t i = col % head_dim % half;
      int64_t axis = 0;
      for (int64_t left = i; !rope.sections.empty() && left >= rope.sections[static_cast<size_t>(axis)]; ++axis) {
        left -= rope.sections[static_cast<size_t>(axis)];
      }
      const double angle = positions[static_cast<size_t>(axis * x.rows + row)] *
                           static_cast<double>(rope.inverse_frequencies[static_cast<size_t>(i)]);
      const bool first = col % head_dim < half;
      const double other = first ? -x.at(row, col + half) : x.at(row, col - half);
      out.at(row, col) = (x.at(row, col) * std::cos(angle) + other * std::sin(angle)) * rope.attention_factor;
    }
  }
  return out;
}

Matrix AttendSlow(const Matrix& queries, const Matrix& keys, const Matrix& values, int64_t first_visible,
                  const AttentionShape& shape) {
  Matrix out = Zeros(queries.rows, queries.cols);
  for (int64_t row = 0; row < queries.rows; ++row) {
    const int64_t visible = std::min(first_visible + row, keys.rows);
    for (int64_t head = 0; head < shape.heads; ++head) {
      const int64_t from = head * shape.head_dim;
      const int64_t shared = head / (shape.heads / shape.kv_heads) * shape.head_dim;
      std::vector<double> weights;
      for (int64_t token = 0; token < visible; ++token) {
        double score = 0;
        for (int64_t d = 0; d < shape.head_dim; ++d) score += queries.at(row, from + d) * keys.at(token, shared + d);
        weights.push_back(score * shape.scale);
      }
      const double top = *std::max_element(weights.begin(), weights.end());
      double sum = 0;
      for (double& weight : weights) sum += weight = std::exp(weight - top);
      for (size_t token = 0; token < weights.size(); ++token) {
        for (int64_t d = 0; d < shape.head_dim; ++d) {
          out.at(row, from + d) += weights[token] / sum * values.at(static_cast<int64_t>(token), shared + d);
        }
      }
    }
  }
  return out;
}

double GateSlow(Gate kind, double x) {
  switch (kind) {
    case Gate::kSilu:
      return x / (1 + std::exp(-x));
    case Gate::kGelu:
      return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Gate::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case Gate::kQuickGelu:
      return x / (1 + std::exp(-1.702 * x));
    case Gate::kRelu:
      return std::max(0.0, x);
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double RelativeError(std::span<const float> actual, const Matrix& expected) {
  if (actual.size() != expected.values.size()) return std::numeric_limits<double>::infinity();
  double difference = 0;
  double magnitude = 1;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double distance = std::abs(static_cast<double>(actual[i]) - expected.values[i]);
    // Written so that a value that is not a number counts as infinitely wrong.
    difference =
        distance <= difference ? difference : (distance > 0 ? distance : std::numeric_limits<double>::infinity());
    magnitude = std::max(magnitude, std::abs(expected.values[i]));
  }
  return difference / magnitude;
}

}  // namespace gwq::testing
