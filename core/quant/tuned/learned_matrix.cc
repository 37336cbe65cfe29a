#include "core/quant/tuned/learned_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "core/format/coded_scales.h"
#include "core/quant/outliers.h"
#include "core/quant/range_search.h"

namespace gwq {
namespace {

// A code is kept within half a step of the lowest and of the highest, so that it can come back.
constexpr float kReach = 0.49F;

float TopOf(const PackedShape& shape) { return static_cast<float>((1 << shape.bits) - 1); }

// Half to even, of what is far below 2^22: see CodeOf in range_search.h.
float Rounded(float value) { return (value + 12582912.0F) - 12582912.0F; }

float Sign(float value) { return static_cast<float>(value > 0.0F) - static_cast<float>(value < 0.0F); }

absl::Status CheckSquares(std::span<const float> squares, int64_t cols, std::string_view tensor) {
  if (static_cast<int64_t>(squares.size()) != cols) {
    return absl::InternalError(fmt::format("{} has {} columns, and its inputs {}", tensor, cols, squares.size()));
  }
  const auto bad = std::ranges::find_if(squares, [](float value) { return !std::isfinite(value); });
  if (bad == squares.end()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("the sum of squares of what {} reads is {} at column {}: the calibration sample drives the model out "
                  "of range; use another sample, keep this module with a rule, or use method rtn",
                  tensor, *bad, bad - squares.begin()));
}

}  // namespace

LearnedMatrix::LearnedMatrix(const PackedShape& shape)
    : shape_(shape),
      codes_(static_cast<size_t>(shape.rows * shape.cols)),
      scales_(static_cast<size_t>(shape.rows * shape.groups_per_row())),
      zeros_(scales_.size()),
      changes_(scales_.size()) {}

uint64_t LearnedMatrix::Bytes(const PackedShape& shape) {
  return static_cast<uint64_t>(shape.rows * shape.cols) * 4 +
         static_cast<uint64_t>(shape.rows * shape.groups_per_row()) * 17 + static_cast<uint64_t>(shape.outliers) * 12;
}

absl::StatusOr<LearnedMatrix> LearnedMatrix::Start(const MatrixInput& input, ThreadPool& pool) {
  const PackedShape& shape = input.shape;
  GWQ_RETURN_IF_ERROR(CheckFinite(input.weights, shape.cols, input.tensor, pool));
  GWQ_RETURN_IF_ERROR(CheckSquares(input.squares, shape.cols, input.tensor));
  LearnedMatrix out(shape);
  const auto start = [&] {
    pool.ParallelFor(shape.rows, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; ++row) out.StartRow(input, row);
    });
  };
  start();
  if (shape.outliers > 0) {
    GWQ_RETURN_IF_ERROR(out.PickOutliers(input, pool));
    start();  // the ranges of the others
  }
  return out;
}

LearnedMatrix::Range LearnedMatrix::OutliersOf(int64_t row) const {
  const auto begin = std::lower_bound(outliers_.begin(), outliers_.end(), row * shape_.cols);
  const auto end = std::lower_bound(begin, outliers_.end(), (row + 1) * shape_.cols);
  return {static_cast<size_t>(begin - outliers_.begin()), static_cast<size_t>(end - outliers_.begin())};
}

void LearnedMatrix::StartRow(const MatrixInput& input, int64_t row) {
  std::vector<float> weights(static_cast<size_t>(shape_.cols)), importance(input.squares.begin(), input.squares.end());
  ToFloat(input.weights, row * shape_.cols, weights);
  const Range outliers = OutliersOf(row);
  for (size_t i = outliers.begin; i < outliers.end; ++i) {
    const auto column = static_cast<size_t>(outliers_[i] - row * shape_.cols);
    values_[i] = weights[column];
    weights[column] = importance[column] = 0.0F;
  }
  const auto groups = static_cast<size_t>(shape_.groups_per_row());
  const size_t first = static_cast<size_t>(row) * groups;
  const auto search = [&](const ScaleForm& form) {
    for (size_t group = 0; group < groups; ++group) {
      const size_t begin = group * static_cast<size_t>(shape_.group_size);
      const size_t count = std::min(static_cast<size_t>(shape_.group_size), weights.size() - begin);
      const GroupRange range = SearchRange(std::span<const float>(weights).subspan(begin, count),
                                           std::span<const float>(importance).subspan(begin, count), shape_.bits, form);
      scales_[first + group] = range.scale;
      zeros_[first + group] = static_cast<uint8_t>(range.zero);
      for (size_t i = begin; i < begin + count; ++i) {
        const float code = weights[i] / range.scale + range.zero;
        codes_[static_cast<size_t>(row * shape_.cols) + i] = std::clamp(code, -kReach, TopOf(shape_) + kReach);
      }
    }
  };
  search({});
  if (shape_.scale_bits == 16) return;
  std::vector<uint8_t> coded(groups);
  search({shape_.scale_bits, RoundRowScales(std::span<const float>(scales_).subspan(first, groups), coded)});
}

absl::Status LearnedMatrix::PickOutliers(const MatrixInput& input, ThreadPool& pool) {
  std::vector<float> scores(codes_.size());
  Values(pool, scores);
  pool.ParallelFor(shape_.rows, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> weights(static_cast<size_t>(shape_.cols));
    for (int64_t row = begin; row < end; ++row) {
      ToFloat(input.weights, row * shape_.cols, weights);
      for (size_t i = 0; i < weights.size(); ++i) {
        float& score = scores[static_cast<size_t>(row * shape_.cols) + i];
        const float lost = weights[i] - score;
        score = std::min(lost * lost * input.squares[i], std::numeric_limits<float>::max());
      }
    }
  });
  absl::StatusOr<std::vector<int64_t>> picked = LargestScores(scores, shape_.outliers, input.tensor);
  GWQ_RETURN_IF_ERROR(picked.status());
  outliers_ = *std::move(picked);
  values_.resize(outliers_.size());
  return absl::OkStatus();
}

void LearnedMatrix::Values(ThreadPool& pool, std::span<float> out) const {
  pool.ParallelFor(shape_.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      const auto first = static_cast<size_t>(row * shape_.groups_per_row());
      for (int64_t group = 0; group < shape_.groups_per_row(); ++group) {
        const size_t slot = first + static_cast<size_t>(group);
        const float scale = scales_[slot] * std::exp(changes_.values[slot]);
        const auto zero = static_cast<float>(zeros_[slot]);
        const auto at = static_cast<size_t>(row * shape_.cols + group * shape_.group_size);
        const auto end_at =
            static_cast<size_t>(row * shape_.cols + std::min((group + 1) * shape_.group_size, shape_.cols));
        for (size_t i = at; i < end_at; ++i) out[i] = (Rounded(codes_[i]) - zero) * scale;
      }
      const Range outliers = OutliersOf(row);
      for (size_t i = outliers.begin; i < outliers.end; ++i) out[static_cast<size_t>(outliers_[i])] = values_[i];
    }
  });
}

void LearnedMatrix::Step(std::span<const float> gradient, const LearningRates& rates, ThreadPool& pool) {
  ++steps_;
  pool.ParallelFor(shape_.rows, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> own(static_cast<size_t>(shape_.cols));
    for (int64_t row = begin; row < end; ++row) {
      std::copy_n(gradient.begin() + row * shape_.cols, shape_.cols, own.begin());
      StepRow(row, own, rates);
    }
  });
}

void LearnedMatrix::StepRow(int64_t row, std::span<float> gradient, const LearningRates& rates) {
  const auto begin = static_cast<size_t>(row * shape_.cols);
  const size_t first_group = static_cast<size_t>(row * shape_.groups_per_row());
  const Range outliers = OutliersOf(row);
  for (size_t i = outliers.begin; i < outliers.end; ++i) {
    const auto column = static_cast<size_t>(outliers_[i]) - begin;
    float& slope = gradient[column];
    const float scale = scales_[first_group + column / static_cast<size_t>(shape_.group_size)];
    values_[i] -= rates.outlier * scale * Sign(slope);
    slope = 0.0F;
  }
  const float top = TopOf(shape_) + kReach;
  const AdamStep scale_step(rates.scale, steps_);
  for (int64_t group = 0; group < shape_.groups_per_row(); ++group) {
    const size_t slot = first_group + static_cast<size_t>(group);
    const float scale = scales_[slot] * std::exp(changes_.values[slot]);
    const auto zero = static_cast<float>(zeros_[slot]);
    const auto from = static_cast<size_t>(group * shape_.group_size);
    const auto to = static_cast<size_t>(std::min((group + 1) * shape_.group_size, shape_.cols));
    float of_change = 0.0F;
    for (size_t i = from; i < to; ++i) {
      const float slope = gradient[i];
      float& code = codes_[begin + i];
      of_change += slope * (Rounded(code) - zero);
      code = std::clamp(code - rates.code * Sign(slope), -kReach, top);
    }
    of_change *= scale;
    changes_.Step(slot, of_change, scale_step);
  }
}

QuantizedMatrix LearnedMatrix::Finish(ThreadPool& pool) const {
  QuantizedMatrix made;
  made.content = EmptyContent(shape_, outliers_);
  std::vector<int64_t> saturated(static_cast<size_t>(shape_.rows));
  pool.ParallelFor(shape_.rows, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) FinishRow(row, made, saturated[static_cast<size_t>(row)]);
  });
  for (const int64_t count : saturated) made.saturated += count;
  return made;
}

void LearnedMatrix::FinishRow(int64_t row, QuantizedMatrix& made, int64_t& saturated) const {
  PackedContent& content = made.content;
  const auto groups = static_cast<size_t>(shape_.groups_per_row());
  const size_t first = static_cast<size_t>(row) * groups;
  std::vector<float> scales(groups);
  for (size_t group = 0; group < groups; ++group) {
    bool too_large = false;
    scales[group] = scales_[first + group] * std::exp(changes_.values[first + group]);
    const uint16_t half = ScaleBits(scales[group], too_large);
    saturated += too_large ? 1 : 0;
    if (shape_.scale_bits == 16) content.scales[first + group] = half;
    content.zeros[first + group] = zeros_[first + group];
  }
  if (shape_.scale_bits == 8) {
    content.row_scales[static_cast<size_t>(row)] =
        RoundRowScales(scales, std::span(content.scale_codes).subspan(first, groups));
  }
  for (int64_t col = 0; col < shape_.cols; ++col) {
    const auto at = static_cast<size_t>(row * shape_.cols + col);
    content.codes[at] = static_cast<uint8_t>(Rounded(codes_[at]));
  }
  const Range outliers = OutliersOf(row);
  for (size_t i = outliers.begin; i < outliers.end; ++i) {
    const auto at = static_cast<size_t>(outliers_[i]);
    const int64_t group = (outliers_[i] - row * shape_.cols) / shape_.group_size;
    content.codes[at] = zeros_[first + static_cast<size_t>(group)];
    bool too_large = false;
    content.outlier_values[i] = SaturatedHalf(values_[i], too_large);
    saturated += too_large ? 1 : 0;
  }
}

}  // namespace gwq
