#include "core/quant/tuned/tuned_tensor.h"

#include <algorithm>
#include <cmath>

#include "core/base/tensor_view.h"
#include "core/format/coded_scales.h"

namespace gwq {
namespace {

// An outlier's rate against a scale's.
constexpr float kOutlierRate = 5.0F;

}  // namespace

TunedTensor::TunedTensor(int64_t rows, int64_t cols, int64_t group_size)
    : rows_(rows),
      cols_(cols),
      group_size_(group_size),
      groups_((cols + group_size - 1) / group_size),
      scales_(static_cast<size_t>(rows_ * groups_)) {}

TunedTensor::TunedTensor(const AffineView& stored)
    : TunedTensor(stored.shape().rows, stored.shape().cols, stored.shape().group_size) {
  stored.ForEachOutlier([&](const PackedView::Outlier& one) {
    positions_.push_back(one.row * cols_ + one.col);
    units_.push_back(stored.scale(one.row, one.col / group_size_));
  });
  outliers_ = AdamParameters(positions_.size());
}

uint64_t TunedTensor::Bytes(const PackedShape& shape) {
  return static_cast<uint64_t>(shape.rows * shape.groups_per_row()) * 12 + static_cast<uint64_t>(shape.outliers) * 24;
}

void TunedTensor::Apply(std::span<float> values) const {
  std::vector<float> kept(positions_.size());
  for (size_t i = 0; i < kept.size(); ++i) kept[i] = values[static_cast<size_t>(positions_[i])];
  for (int64_t row = 0; row < rows_; ++row) {
    for (int64_t group = 0; group < groups_; ++group) {
      const float factor = std::exp(scales_.values[static_cast<size_t>(row * groups_ + group)]);
      const int64_t end = std::min((group + 1) * group_size_, cols_);
      for (int64_t col = group * group_size_; col < end; ++col)
        values[static_cast<size_t>(row * cols_ + col)] *= factor;
    }
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    values[static_cast<size_t>(positions_[i])] = kept[i] + outliers_.values[i] * units_[i];
  }
}

void TunedTensor::Values(const AffineView& stored, ThreadPool& pool, std::span<float> out) const {
  const auto cols = static_cast<size_t>(cols_), groups = static_cast<size_t>(groups_);
  pool.ParallelFor(rows_, 8, [&](int64_t begin, int64_t end, int) {
    std::vector<uint8_t> codes(cols), zeros(groups);
    std::vector<float> scales(groups);
    for (int64_t row = begin; row < end; ++row) {
      stored.UnpackCodes(row, codes);
      stored.UnpackZeros(row, zeros);
      stored.UnpackScales(row, scales);
      float* const to = out.data() + static_cast<size_t>(row) * cols;
      for (size_t group = 0; group < groups; ++group) {
        const float scale = scales[group] * std::exp(scales_.values[static_cast<size_t>(row) * groups + group]);
        const auto zero = static_cast<float>(zeros[group]);
        const size_t last = std::min((group + 1) * static_cast<size_t>(group_size_), cols);
        for (size_t i = group * static_cast<size_t>(group_size_); i < last; ++i) {
          to[i] = (static_cast<float>(codes[i]) - zero) * scale;
        }
      }
    }
  });
  size_t next = 0;
  stored.ForEachOutlier([&](const PackedView::Outlier& one) {
    out[static_cast<size_t>(one.row * cols_ + one.col)] = HalfToFloat(one.half) + outliers_.values[next] * units_[next];
    ++next;
  });
}

void TunedTensor::Step(std::span<const float> gradient, std::span<const float> values, float rate, int step,
                       ThreadPool& pool) {
  const AdamStep of_scales(rate, step), of_outliers(rate * kOutlierRate, step);
  pool.ParallelFor(rows_, 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      auto outlier = static_cast<size_t>(std::ranges::lower_bound(positions_, row * cols_) - positions_.begin());
      for (int64_t group = 0; group < groups_; ++group) {
        float slope = 0.0F;
        const int64_t first = row * cols_ + group * group_size_;
        const int64_t last = row * cols_ + std::min((group + 1) * group_size_, cols_);
        for (int64_t at = first; at < last; ++at) {
          slope += gradient[static_cast<size_t>(at)] * values[static_cast<size_t>(at)];
        }
        for (; outlier < positions_.size() && positions_[outlier] < last; ++outlier) {
          const auto at = static_cast<size_t>(positions_[outlier]);
          slope -= gradient[at] * values[at];
          outliers_.Step(outlier, gradient[at] * units_[outlier], of_outliers);
        }
        scales_.Step(static_cast<size_t>(row * groups_ + group), slope, of_scales);
      }
    }
  });
}

QuantizedMatrix TunedTensor::Repacked(const AffineView& stored) const {
  const PackedShape& shape = stored.shape();
  QuantizedMatrix made;
  made.content = EmptyContent(shape, positions_);
  PackedContent& content = made.content;
  std::vector<float> scales(static_cast<size_t>(groups_));
  for (int64_t row = 0; row < rows_; ++row) {
    const auto first = static_cast<size_t>(row * groups_);
    stored.UnpackCodes(row,
                       std::span(content.codes).subspan(static_cast<size_t>(row * cols_), static_cast<size_t>(cols_)));
    stored.UnpackZeros(row, std::span(content.zeros).subspan(first, scales.size()));
    stored.UnpackScales(row, scales);
    for (size_t group = 0; group < scales.size(); ++group) {
      scales[group] *= std::exp(scales_.values[first + group]);
      bool saturated = false;
      const uint16_t half = ScaleBits(scales[group], saturated);
      made.saturated += saturated ? 1 : 0;
      if (shape.scale_bits == 16) content.scales[first + group] = half;
    }
    if (shape.scale_bits == 8) {
      content.row_scales[static_cast<size_t>(row)] =
          RoundRowScales(scales, std::span(content.scale_codes).subspan(first, scales.size()));
    }
  }
  size_t next = 0;
  stored.ForEachOutlier([&](const PackedView::Outlier& one) {
    bool saturated = false;
    content.outlier_values[next] =
        SaturatedHalf(HalfToFloat(one.half) + outliers_.values[next] * units_[next], saturated);
    made.saturated += saturated ? 1 : 0;
    ++next;
  });
  return made;
}

std::vector<float> TunedTensor::State() const {
  std::vector<float> out;
  for (const AdamParameters* const learned : {&scales_, &outliers_}) {
    for (const std::vector<float>* const part : {&learned->values, &learned->means, &learned->squares}) {
      out.insert(out.end(), part->begin(), part->end());
    }
  }
  return out;
}

bool TunedTensor::SetState(std::span<const float> state) {
  if (state.size() != 3 * (scales_.values.size() + outliers_.values.size())) return false;
  for (AdamParameters* const learned : {&scales_, &outliers_}) {
    for (std::vector<float>* const part : {&learned->values, &learned->means, &learned->squares}) {
      std::ranges::copy(state.first(part->size()), part->begin());
      state = state.subspan(part->size());
    }
  }
  return true;
}

}  // namespace gwq
