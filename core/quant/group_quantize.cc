#include "core/quant/group_quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/format/coded_scales.h"

namespace gwq {
namespace {

constexpr float kMaxHalf = 65504.0F;
constexpr float kMinScale = 0x1p-24F;

// Rounds one row after the other; keeps its buffers.
class RowQuantizer {
 public:
  RowQuantizer(const TensorView& weights, PackedContent& content)
      : weights_(weights),
        content_(content),
        row_(static_cast<size_t>(content.shape.cols)),
        scales_(static_cast<size_t>(content.shape.groups_per_row())) {}

  // The number of saturated values.
  int64_t Run(int64_t row) {
    ToFloat(weights_, row * content_.shape.cols, row_);
    const int64_t saturated = TakeOutliers(row) + TakeScales(row);
    for (int64_t group = 0; group < content_.shape.groups_per_row(); ++group) TakeGroup(row, group);
    return saturated;
  }

 private:
  // Moves the row's outliers from row_ to the content.
  int64_t TakeOutliers(int64_t row) {
    int64_t count = 0;
    const int64_t cols = content_.shape.cols;
    const std::vector<int64_t>& outliers = content_.outlier_positions;
    auto at = std::lower_bound(outliers.begin(), outliers.end(), row * cols);
    for (; at != outliers.end() && *at < (row + 1) * cols; ++at) {
      float& weight = row_[static_cast<size_t>(*at - row * cols)];
      bool saturated = false;
      content_.outlier_values[static_cast<size_t>(at - outliers.begin())] = SaturatedHalf(weight, saturated);
      count += saturated ? 1 : 0;
      weight = 0.0F;
    }
    return count;
  }

  [[nodiscard]] std::span<const float> Group(int64_t group) const {
    const auto begin = static_cast<size_t>(group * content_.shape.group_size);
    const size_t count = std::min(static_cast<size_t>(content_.shape.group_size), row_.size() - begin);
    return std::span<const float>(row_).subspan(begin, count);
  }

  // The scales of the row, as they are stored.
  int64_t TakeScales(int64_t row) {
    int64_t count = 0;
    const size_t first = static_cast<size_t>(row) * scales_.size();
    for (size_t group = 0; group < scales_.size(); ++group) {
      bool saturated = false;
      const uint16_t half = GroupScale(Group(static_cast<int64_t>(group)), content_.shape.bits, saturated);
      count += saturated ? 1 : 0;
      scales_[group] = HalfToFloat(half);
      if (content_.shape.scale_bits == 16) content_.scales[first + group] = half;
    }
    if (content_.shape.scale_bits == 16) return count;
    const std::span<uint8_t> codes = std::span(content_.scale_codes).subspan(first, scales_.size());
    content_.row_scales[static_cast<size_t>(row)] = RoundRowScales(scales_, codes);
    return count;
  }

  void TakeGroup(int64_t row, int64_t group) {
    const PackedShape& shape = content_.shape;
    const std::span<const float> weights = Group(group);
    const auto begin = static_cast<size_t>(row * shape.cols + group * shape.group_size);
    const std::span<uint8_t> codes = std::span(content_.codes).subspan(begin, weights.size());
    content_.zeros[static_cast<size_t>(row * shape.groups_per_row() + group)] =
        CodeGroup(weights, shape.bits, ScaleAt(content_, row, group), codes);
  }

  const TensorView& weights_;
  PackedContent& content_;
  std::vector<float> row_;     // its outliers 0 once they are taken
  std::vector<float> scales_;  // of its groups, before they are rounded together
};

// What one row adds to the sums, kept apart from other rows' so that the sums do not depend on threads.
struct RowErrors {
  double error = 0;
  double norm = 0;
  double weighted_error = 0;
  double weighted_norm = 0;
};

class RowMeter {
 public:
  RowMeter(const TensorView& weights, std::span<const float> gradient, const PackedContent& content)
      : weights_(weights),
        gradient_(gradient),
        content_(content),
        row_(static_cast<size_t>(content.shape.cols)),
        lost_(row_.size()) {}

  RowErrors Run(int64_t row) {
    ToFloat(weights_, row * content_.shape.cols, row_);
    FillLost(row);
    RowErrors result;
    const size_t first = static_cast<size_t>(row) * row_.size();
    for (size_t i = 0; i < row_.size(); ++i) {
      const double weight = row_[i];
      const double lost = lost_[i];
      result.norm += weight * weight;
      result.error += lost * lost;
      if (gradient_.empty()) continue;
      const double gradient = gradient_[first + i];
      result.weighted_norm += gradient * weight * gradient * weight;
      result.weighted_error += gradient * lost * gradient * lost;
    }
    return result;
  }

 private:
  // w - w' of every weight of the row.
  void FillLost(int64_t row) {
    const PackedShape& shape = content_.shape;
    const auto cols = static_cast<size_t>(shape.cols);
    for (int64_t group = 0; group < shape.groups_per_row(); ++group) {
      const float scale = ScaleAt(content_, row, group);
      const int zero = content_.zeros[static_cast<size_t>(row * shape.groups_per_row() + group)];
      const auto end = std::min(cols, static_cast<size_t>((group + 1) * shape.group_size));
      for (auto col = static_cast<size_t>(group * shape.group_size); col < end; ++col) {
        const int code = content_.codes[static_cast<size_t>(row) * cols + col];
        lost_[col] = row_[col] - static_cast<float>(code - zero) * scale;
      }
    }
    const std::vector<int64_t>& outliers = content_.outlier_positions;
    auto at = std::lower_bound(outliers.begin(), outliers.end(), row * shape.cols);
    for (; at != outliers.end() && *at < (row + 1) * shape.cols; ++at) {
      const auto col = static_cast<size_t>(*at - row * shape.cols);
      lost_[col] = row_[col] - HalfToFloat(content_.outlier_values[static_cast<size_t>(at - outliers.begin())]);
    }
  }

  const TensorView& weights_;
  const std::span<const float> gradient_;
  const PackedContent& content_;
  std::vector<float> row_;
  std::vector<float> lost_;
};

}  // namespace

uint16_t SaturatedHalf(float value, bool& saturated) {
  uint16_t half = FloatToHalf(value);
  if ((half & 0x7FFFU) >= 0x7C00U) {
    half = static_cast<uint16_t>((half & 0x8000U) | 0x7BFFU);
    saturated = true;
  }
  return half;
}

uint16_t ScaleBits(float scale, bool& saturated) {
  const uint16_t half = SaturatedHalf(scale, saturated);
  return HalfToFloat(half) < kMinScale ? FloatToHalf(kMinScale) : half;
}

uint16_t ScaleOf(float low, float high, int bits, bool& saturated) {
  const auto top = static_cast<float>((1 << bits) - 1);
  // high - low may pass the single precision range as well; the saturated scale covers that too.
  return ScaleBits(std::min((high - low) / top, 2.0F * kMaxHalf), saturated);
}

uint16_t GroupScale(std::span<const float> weights, int bits, bool& saturated) {
  float low = 0.0F;
  float high = 0.0F;
  for (const float weight : weights) {
    low = std::min(low, weight);
    high = std::max(high, weight);
  }
  return ScaleOf(low, high, bits, saturated);
}

uint8_t CodeGroup(std::span<const float> weights, int bits, float scale, std::span<uint8_t> codes) {
  const auto top = static_cast<float>((1 << bits) - 1);
  float low = 0.0F;
  for (const float weight : weights) low = std::min(low, weight);
  const float zero = std::clamp(std::nearbyintf(-low / scale), 0.0F, top);
  for (size_t i = 0; i < weights.size(); ++i) {
    codes[i] = static_cast<uint8_t>(std::clamp(std::nearbyintf(weights[i] / scale) + zero, 0.0F, top));
  }
  return static_cast<uint8_t>(zero);
}

GroupCodes QuantizeGroup(std::span<const float> weights, int bits, std::span<uint8_t> codes) {
  GroupCodes out;
  out.scale = GroupScale(weights, bits, out.saturated);
  out.zero = CodeGroup(weights, bits, HalfToFloat(out.scale), codes);
  return out;
}

float ScaleAt(const PackedContent& content, int64_t row, int64_t group) {
  const auto slot = static_cast<size_t>(row * content.shape.groups_per_row() + group);
  if (content.shape.scale_bits == 16) return HalfToFloat(content.scales[slot]);
  return CodedScale(content.scale_codes[slot], content.row_scales[static_cast<size_t>(row)]);
}

PackedContent EmptyContent(const PackedShape& shape, std::span<const int64_t> outliers) {
  PackedContent content;
  content.shape = shape;
  content.codes.resize(static_cast<size_t>(shape.rows * shape.cols));
  content.zeros.resize(static_cast<size_t>(shape.rows * shape.groups_per_row()));
  if (shape.scale_bits == 16) {
    content.scales.resize(content.zeros.size());
  } else {
    content.scale_codes.resize(content.zeros.size());
    content.row_scales.resize(static_cast<size_t>(shape.rows));
  }
  content.outlier_positions.assign(outliers.begin(), outliers.end());
  content.outlier_values.resize(outliers.size());
  return content;
}

absl::StatusOr<QuantizedMatrix> QuantizeMatrix(const TensorView& weights, const PackedShape& shape,
                                               std::span<const int64_t> outliers, std::span<const float> gradient,
                                               std::string_view tensor, ThreadPool& pool) {
  if (const absl::Status finite = CheckFinite(weights, shape.cols, tensor, pool); !finite.ok()) return finite;
  QuantizedMatrix out;
  out.content = EmptyContent(shape, outliers);
  std::vector<int64_t> saturated(static_cast<size_t>(shape.rows));
  pool.ParallelFor(shape.rows, 1, [&](int64_t begin, int64_t end, int) {
    RowQuantizer quantizer(weights, out.content);
    for (int64_t row = begin; row < end; ++row) saturated[static_cast<size_t>(row)] = quantizer.Run(row);
  });
  for (const int64_t count : saturated) out.saturated += count;
  MeasureErrors(weights, gradient, pool, out);
  return out;
}

void MeasureErrors(const TensorView& weights, std::span<const float> gradient, ThreadPool& pool,
                   QuantizedMatrix& made) {
  std::vector<RowErrors> rows(static_cast<size_t>(made.content.shape.rows));
  pool.ParallelFor(made.content.shape.rows, 1, [&](int64_t begin, int64_t end, int) {
    RowMeter meter(weights, gradient, made.content);
    for (int64_t row = begin; row < end; ++row) rows[static_cast<size_t>(row)] = meter.Run(row);
  });
  for (const RowErrors& row : rows) {
    made.error += row.error;
    made.norm += row.norm;
    made.weighted_error += row.weighted_error;
    made.weighted_norm += row.weighted_norm;
  }
}

absl::Status CheckFinite(const TensorView& weights, int64_t cols, std::string_view tensor, ThreadPool& pool) {
  const int64_t rows = weights.elements() / cols;
  std::vector<int64_t> bad(static_cast<size_t>(rows), -1);
  pool.ParallelFor(rows, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> values(static_cast<size_t>(cols));
    for (int64_t row = begin; row < end; ++row) {
      ToFloat(weights, row * cols, values);
      const auto found = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
      if (found != values.end()) bad[static_cast<size_t>(row)] = found - values.begin();
    }
  });
  for (int64_t row = 0; row < rows; ++row) {
    if (bad[static_cast<size_t>(row)] < 0) continue;
    return absl::FailedPreconditionError(
        fmt::format("{} holds a value that is not finite at row {}, column {}; repair the model, or keep this module "
                    "with a rule",
                    tensor, row, bad[static_cast<size_t>(row)]));
  }
  return absl::OkStatus();
}

}  // namespace gwq
