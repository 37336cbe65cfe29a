#include "core/quant/group_quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace gwq {
namespace {

constexpr float kMaxHalf = 65504.0F;
constexpr float kMinScale = 0x1p-24F;

// FP16 bits of `value`, saturated to the finite range.
uint16_t SaturatedHalf(float value, bool& saturated) {
  uint16_t half = FloatToHalf(value);
  if ((half & 0x7FFFU) >= 0x7C00U) {
    half = static_cast<uint16_t>((half & 0x8000U) | 0x7BFFU);
    saturated = true;
  }
  return half;
}

// What one row leaves behind, kept apart from other rows' so that sums do not depend on threads.
struct RowResult {
  int64_t saturated = 0;
  int64_t bad_column = -1;
  double error = 0;
  double norm = 0;
  double weighted_error = 0;
  double weighted_norm = 0;
};

class RowQuantizer {
 public:
  RowQuantizer(const TensorView& weights, std::span<const int64_t> outliers, std::span<const float> gradient,
               PackedContent& content)
      : weights_(weights),
        outliers_(outliers),
        gradient_(gradient),
        content_(content),
        whole_(static_cast<size_t>(content.shape.cols)),
        row_(whole_.size()),
        lost_(whole_.size()) {}

  RowResult Run(int64_t row) {
    RowResult result;
    ToFloat(weights_, row * content_.shape.cols, whole_);
    for (size_t col = 0; col < whole_.size() && result.bad_column < 0; ++col) {
      if (!std::isfinite(whole_[col])) result.bad_column = static_cast<int64_t>(col);
    }
    if (result.bad_column >= 0) return result;
    row_ = whole_;
    std::fill(lost_.begin(), lost_.end(), 0.0F);
    TakeOutliers(row, result);
    for (int64_t group = 0; group < content_.shape.groups_per_row(); ++group) TakeGroup(row, group, result);
    AddErrors(row, result);
    return result;
  }

 private:
  // Moves the row's outliers from row_ to the content.
  void TakeOutliers(int64_t row, RowResult& result) {
    const int64_t cols = content_.shape.cols;
    auto at = std::lower_bound(outliers_.begin(), outliers_.end(), row * cols);
    for (; at != outliers_.end() && *at < (row + 1) * cols; ++at) {
      float& weight = row_[static_cast<size_t>(*at - row * cols)];
      bool saturated = false;
      const uint16_t half = SaturatedHalf(weight, saturated);
      if (saturated) ++result.saturated;
      lost_[static_cast<size_t>(*at - row * cols)] = weight - HalfToFloat(half);
      content_.outlier_values[static_cast<size_t>(at - outliers_.begin())] = half;
      weight = 0.0F;
    }
  }

  void TakeGroup(int64_t row, int64_t group, RowResult& result) {
    const PackedShape& shape = content_.shape;
    const auto begin = static_cast<size_t>(group * shape.group_size);
    const size_t count = std::min(static_cast<size_t>(shape.group_size), row_.size() - begin);
    const std::span<uint8_t> codes(content_.codes.data() + static_cast<size_t>(row * shape.cols) + begin, count);
    const GroupCodes made = QuantizeGroup(std::span<const float>(row_).subspan(begin, count), shape.bits, codes);
    const auto slot = static_cast<size_t>(row * shape.groups_per_row() + group);
    content_.scales[slot] = made.scale;
    content_.zeros[slot] = made.zero;
    if (made.saturated) ++result.saturated;
    const float scale = HalfToFloat(made.scale);
    for (size_t i = 0; i < count; ++i) {
      lost_[begin + i] += row_[begin + i] - static_cast<float>(codes[i] - made.zero) * scale;
    }
  }

  void AddErrors(int64_t row, RowResult& result) const {
    const size_t first = static_cast<size_t>(row) * whole_.size();
    for (size_t i = 0; i < whole_.size(); ++i) {
      const double weight = whole_[i];
      const double lost = lost_[i];
      result.norm += weight * weight;
      result.error += lost * lost;
      if (gradient_.empty()) continue;
      const double gradient = gradient_[first + i];
      result.weighted_norm += gradient * weight * gradient * weight;
      result.weighted_error += gradient * lost * gradient * lost;
    }
  }

  const TensorView& weights_;
  const std::span<const int64_t> outliers_;
  const std::span<const float> gradient_;
  PackedContent& content_;
  std::vector<float> whole_;  // the row
  std::vector<float> row_;    // the row, its outliers 0
  std::vector<float> lost_;   // w - w'
};

}  // namespace

GroupCodes QuantizeGroup(std::span<const float> weights, int bits, std::span<uint8_t> codes) {
  GroupCodes out;
  const auto top = static_cast<float>((1 << bits) - 1);
  float low = 0.0F;
  float high = 0.0F;
  for (const float weight : weights) {
    low = std::min(low, weight);
    high = std::max(high, weight);
  }
  // high - low may pass the single precision range as well; the saturated scale covers that too.
  out.scale = SaturatedHalf(std::min((high - low) / top, 2.0F * kMaxHalf), out.saturated);
  if (HalfToFloat(out.scale) < kMinScale) out.scale = FloatToHalf(kMinScale);
  const float scale = HalfToFloat(out.scale);
  const float zero = std::clamp(std::nearbyintf(-low / scale), 0.0F, top);
  for (size_t i = 0; i < weights.size(); ++i) {
    codes[i] = static_cast<uint8_t>(std::clamp(std::nearbyintf(weights[i] / scale) + zero, 0.0F, top));
  }
  out.zero = static_cast<uint8_t>(zero);
  return out;
}

absl::StatusOr<QuantizedMatrix> QuantizeMatrix(const TensorView& weights, const PackedShape& shape,
                                               std::span<const int64_t> outliers, std::span<const float> gradient,
                                               std::string_view tensor, ComputeTeam& team) {
  QuantizedMatrix out;
  PackedContent& content = out.content;
  content.shape = shape;
  content.codes.resize(static_cast<size_t>(shape.rows * shape.cols));
  content.scales.resize(static_cast<size_t>(shape.rows * shape.groups_per_row()));
  content.zeros.resize(content.scales.size());
  content.outlier_positions.assign(outliers.begin(), outliers.end());
  content.outlier_values.resize(outliers.size());
  std::vector<RowResult> rows(static_cast<size_t>(shape.rows));
  team.ParallelFor(shape.rows, 1, [&](int64_t begin, int64_t end, int) {
    RowQuantizer quantizer(weights, outliers, gradient, content);
    for (int64_t row = begin; row < end; ++row) rows[static_cast<size_t>(row)] = quantizer.Run(row);
  });
  for (size_t row = 0; row < rows.size(); ++row) {
    if (rows[row].bad_column >= 0) {
      return absl::FailedPreconditionError(
          fmt::format("{} holds a value that is not finite at row {}, column {}; repair the model, or keep this module "
                      "with a rule",
                      tensor, row, rows[row].bad_column));
    }
    out.saturated += rows[row].saturated;
    out.error += rows[row].error;
    out.norm += rows[row].norm;
    out.weighted_error += rows[row].weighted_error;
    out.weighted_norm += rows[row].weighted_norm;
  }
  return out;
}

}  // namespace gwq
