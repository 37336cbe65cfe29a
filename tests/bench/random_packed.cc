#include "tests/bench/random_packed.h"

#include <random>

#include "core/base/tensor_view.h"
#include "core/format/format.h"

namespace gwq::bench {

std::vector<std::byte> RandomPacked(int64_t rows, int64_t cols, int bits, int64_t group_size, double ratio,
                                    int scale_bits) {
  std::mt19937 random(1);
  PackedContent content;
  content.shape = {rows, cols, bits, group_size, static_cast<int64_t>(ratio * static_cast<double>(rows * cols))};
  content.codes.resize(static_cast<size_t>(rows * cols));
  for (uint8_t& code : content.codes) code = static_cast<uint8_t>(random() & ((1u << bits) - 1));
  const auto groups = static_cast<size_t>(rows * content.shape.groups_per_row());
  const uint16_t scale = FloatToHalf(0.3F / static_cast<float>(1 << bits));
  if (scale_bits == 8) {
    content.shape.scale_bits = 8;
    content.shape.format = &kAffine2;
    content.scale_codes.assign(groups, 255);
    content.row_scales.assign(static_cast<size_t>(rows), scale);
  } else {
    content.scales.assign(groups, scale);
  }
  content.zeros.assign(groups, static_cast<uint8_t>(1 << (bits - 1)));
  // One in each stride of weights, at a place that varies, so that columns do.
  const int64_t stride = content.shape.outliers == 0 ? 0 : rows * cols / content.shape.outliers;
  for (int64_t i = 0; i < content.shape.outliers; ++i) {
    const int64_t flat = i * stride + static_cast<int64_t>(random()) % stride;
    content.codes[static_cast<size_t>(flat)] = content.zeros[0];
    content.outlier_positions.push_back(flat);
    content.outlier_values.push_back(FloatToHalf(0.1F));
  }
  return EncodePacked(content).value();
}

}  // namespace gwq::bench
