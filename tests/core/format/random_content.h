// Packed content with random codes, scales, zero points and outliers, for tests.
#pragma once

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "core/base/tensor_view.h"
#include "core/format/packed_matrix.h"

namespace gwq::testing {

// `outliers` distinct positions, chosen uniformly.
inline std::vector<int64_t> RandomPositions(const PackedShape& shape, std::mt19937& random) {
  std::vector<int64_t> all(static_cast<size_t>(shape.rows * shape.cols));
  std::iota(all.begin(), all.end(), 0);
  std::vector<int64_t> chosen;
  std::sample(all.begin(), all.end(), std::back_inserter(chosen), shape.outliers, random);
  return chosen;
}

inline PackedContent RandomContentAt(const PackedShape& shape, std::vector<int64_t> positions, std::mt19937& random) {
  const int64_t groups = shape.groups_per_row();
  std::uniform_int_distribution<int> code(0, (1 << shape.bits) - 1);
  std::uniform_real_distribution<float> scale(0.001F, 0.02F);
  std::uniform_int_distribution<int> scale_code(1, 255);
  std::normal_distribution<float> value(0.0F, 0.2F);
  PackedContent content;
  content.shape = shape;
  for (int64_t i = 0; i < shape.rows * shape.cols; ++i) content.codes.push_back(static_cast<uint8_t>(code(random)));
  for (int64_t i = 0; i < shape.rows * groups; ++i) {
    if (shape.scale_bits == 16) {
      content.scales.push_back(FloatToHalf(scale(random)));
    } else {
      content.scale_codes.push_back(static_cast<uint8_t>(scale_code(random)));
    }
    content.zeros.push_back(static_cast<uint8_t>(code(random)));
  }
  for (int64_t row = 0; row < shape.rows && shape.scale_bits == 8; ++row) {
    content.row_scales.push_back(FloatToHalf(scale(random)));
  }
  for (int64_t flat : positions) {
    const int64_t group = flat / shape.cols * groups + flat % shape.cols / shape.group_size;
    content.codes[static_cast<size_t>(flat)] = content.zeros[static_cast<size_t>(group)];
    content.outlier_values.push_back(FloatToHalf(value(random)));
  }
  content.outlier_positions = std::move(positions);
  return content;
}

inline PackedContent RandomContent(const PackedShape& shape, std::mt19937& random) {
  std::vector<int64_t> positions = RandomPositions(shape, random);
  return RandomContentAt(shape, std::move(positions), random);
}

}  // namespace gwq::testing
