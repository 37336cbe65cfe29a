#include "core/quant/gptq/columns.h"

#include <algorithm>
#include <cmath>

#include "core/format/coded_scales.h"
#include "core/quant/range_search.h"

namespace gwq {
namespace {

// Rows that share one reading of the factor: each reading of a column block then serves that many rows.
constexpr int64_t kRows = 32;
// Columns whose errors are gathered before they are applied to the columns behind them.
constexpr int64_t kBlock = 128;

// One chunk of rows from the first column to the last.
class Chunk {
 public:
  Chunk(const ColumnsInput& input, std::span<const float> importance, PackedContent& content)
      : input_(input),
        shape_(input.shape),
        cols_(input.shape.cols),
        importance_(importance),
        content_(content),
        rows_(static_cast<size_t>(kRows * cols_)),
        errors_(static_cast<size_t>(kRows * kBlock)),
        ranges_(static_cast<size_t>(kRows * shape_.groups_per_row())),
        next_outlier_(static_cast<size_t>(kRows)),
        is_outlier_(static_cast<size_t>(kRows * cols_)),
        gathered_(static_cast<size_t>(shape_.group_size)),
        weighing_(static_cast<size_t>(shape_.group_size)),
        original_(static_cast<size_t>(cols_)),
        row_scales_(static_cast<size_t>(kRows)) {}

  // The number of saturated values.
  int64_t Run(int64_t first, int64_t count) {
    first_ = first;
    count_ = count;
    saturated_ = 0;
    for (int64_t row = 0; row < count_; ++row) ReadRow(row);
    if (input_.order.empty()) {
      for (int64_t begin = 0; begin < cols_; begin += shape_.group_size) {
        const int64_t end = std::min(begin + shape_.group_size, cols_);
        for (int64_t row = 0; row < count_; ++row)
          SetRange(row, begin / shape_.group_size, Row(row).subspan(static_cast<size_t>(begin)));
        Blocks(begin, end);
      }
    } else {
      Blocks(0, cols_);
    }
    return saturated_;
  }

 private:
  [[nodiscard]] std::span<float> Row(int64_t row) {
    return std::span(rows_).subspan(static_cast<size_t>(row * cols_), static_cast<size_t>(cols_));
  }
  [[nodiscard]] int64_t ColumnAt(int64_t place) const {
    return input_.order.empty() ? place : input_.order[static_cast<size_t>(place)];
  }
  [[nodiscard]] const float* FactorRow(int64_t place) const { return input_.factor.data() + place * cols_; }

  // The row in the order of its columns, and which of them are outliers.
  void ReadRow(int64_t row) {
    ToFloat(input_.weights, (first_ + row) * cols_, original_);
    uint8_t* const outlier = is_outlier_.data() + row * cols_;
    std::fill_n(outlier, cols_, uint8_t{0});
    const int64_t begin = (first_ + row) * cols_;
    auto at = std::lower_bound(input_.outliers.begin(), input_.outliers.end(), begin);
    next_outlier_[static_cast<size_t>(row)] = at - input_.outliers.begin();
    for (; at != input_.outliers.end() && *at < begin + cols_; ++at) outlier[*at - begin] = 1;
    if (shape_.scale_bits == 8) SetRowScale(row);
    for (int64_t group = 0; !input_.order.empty() && group < shape_.groups_per_row(); ++group) {
      SetRange(row, group, std::span<const float>(original_).subspan(static_cast<size_t>(group * shape_.group_size)));
    }
    for (int64_t place = 0; place < cols_; ++place) {
      Row(row)[static_cast<size_t>(place)] = original_[static_cast<size_t>(ColumnAt(place))];
    }
  }

  // The row's scale has to be known before its first group: it is that of the row as it came, by minimum and maximum.
  // Compensation may widen a later group, whose scale then stops at the largest code.
  void SetRowScale(int64_t row) {
    std::vector<float> scales;
    for (int64_t begin = 0; begin < cols_; begin += shape_.group_size) {
      const auto count = static_cast<size_t>(std::min(shape_.group_size, cols_ - begin));
      for (size_t i = 0; i < count; ++i) {
        const size_t column = static_cast<size_t>(begin) + i;
        gathered_[i] = is_outlier_[static_cast<size_t>(row * cols_) + column] != 0 ? 0.0F : original_[column];
      }
      scales.push_back(RangeOf(std::span<const float>(gathered_).first(count), shape_.bits).scale);
    }
    std::vector<uint8_t> codes(scales.size());
    row_scales_[static_cast<size_t>(row)] = RoundRowScales(scales, codes);
    content_.row_scales[static_cast<size_t>(first_ + row)] = row_scales_[static_cast<size_t>(row)];
  }

  // `weights` begins with the group's first column.
  void SetRange(int64_t row, int64_t group, std::span<const float> weights) {
    const int64_t begin = group * shape_.group_size;
    const auto count = static_cast<size_t>(std::min(shape_.group_size, cols_ - begin));
    for (size_t i = 0; i < count; ++i) {
      const bool outlier = is_outlier_[static_cast<size_t>(row * cols_ + begin) + i] != 0;
      gathered_[i] = outlier ? 0.0F : weights[i];
      weighing_[i] = outlier ? 0.0F : importance_[static_cast<size_t>(begin) + i];
    }
    const std::span<const float> values = std::span<const float>(gathered_).first(count);
    const ScaleForm form{shape_.scale_bits, row_scales_[static_cast<size_t>(row)]};
    const GroupRange range =
        input_.range_search ? SearchRange(values, std::span<const float>(weighing_).first(count), shape_.bits, form)
                            : RangeOf(values, shape_.bits, 1.0F, form);
    ranges_[static_cast<size_t>(row * shape_.groups_per_row() + group)] = range;
    const auto slot = static_cast<size_t>((first_ + row) * shape_.groups_per_row() + group);
    if (shape_.scale_bits == 16) {
      content_.scales[slot] = range.stored;
    } else {
      content_.scale_codes[slot] = static_cast<uint8_t>(range.stored);
    }
    content_.zeros[slot] = static_cast<uint8_t>(range.zero);
    if (range.saturated) ++saturated_;
  }

  void Blocks(int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; block += kBlock) {
      const int64_t stop = std::min(block + kBlock, end);
      for (int64_t row = 0; row < count_; ++row) RoundBlock(row, block, stop);
      ApplyErrors(block, stop);
    }
  }

  void RoundBlock(int64_t row, int64_t begin, int64_t end) {
    float* const weights = rows_.data() + row * cols_;
    float* const errors = errors_.data() + row * kBlock;
    for (int64_t place = begin; place < end; ++place) {
      const float* const factor = FactorRow(place);
      float error = (weights[place] - Round(row, ColumnAt(place), weights[place])) / factor[place];
      // Of a weight near the largest float. Compensated, it would make the rest of the row infinite or NaN.
      if (!std::isfinite(error)) {
        error = 0;
        ++saturated_;
      }
      errors[place - begin] = error;
      for (int64_t k = place + 1; k < end; ++k) weights[k] -= error * factor[k];
    }
  }

  // Stores the weight, and returns what it has become.
  float Round(int64_t row, int64_t column, float weight) {
    const GroupRange& range = ranges_[static_cast<size_t>(row * shape_.groups_per_row() + column / shape_.group_size)];
    uint8_t& code = content_.codes[static_cast<size_t>((first_ + row) * cols_ + column)];
    if (is_outlier_[static_cast<size_t>(row * cols_ + column)] != 0) {
      code = static_cast<uint8_t>(range.zero);
      return KeepOutlier(row, column, weight);
    }
    const float top = static_cast<float>((1 << shape_.bits) - 1);
    const float rounded = CodeOf(weight, range, top);
    code = static_cast<uint8_t>(rounded);
    return (rounded - range.zero) * range.scale;
  }

  float KeepOutlier(int64_t row, int64_t column, float weight) {
    const int64_t flat = (first_ + row) * cols_ + column;
    const auto at = std::lower_bound(input_.outliers.begin() + next_outlier_[static_cast<size_t>(row)],
                                     input_.outliers.end(), flat);
    bool saturated = false;
    const uint16_t half = SaturatedHalf(weight, saturated);
    content_.outlier_values[static_cast<size_t>(at - input_.outliers.begin())] = half;
    if (saturated) ++saturated_;
    return HalfToFloat(half);
  }

  // Takes the block's errors from all columns behind it. Four columns of errors at a time: each weight is then read and
  // written once for four products.
  void ApplyErrors(int64_t begin, int64_t end) {
    constexpr int64_t kTile = 512;  // floats of a row that stay in the first-level cache
    for (int64_t tile = end; tile < cols_; tile += kTile) {
      const int64_t stop = std::min(tile + kTile, cols_);
      for (int64_t row = 0; row < count_; ++row) {
        float* const weights = rows_.data() + row * cols_;
        const float* const errors = errors_.data() + row * kBlock;
        int64_t j = begin;
        for (; j + 4 <= end; j += 4) {
          const float *a = FactorRow(j), *b = FactorRow(j + 1), *c = FactorRow(j + 2), *d = FactorRow(j + 3);
          const float* const e = errors + (j - begin);
          for (int64_t k = tile; k < stop; ++k) weights[k] -= (e[0] * a[k] + e[1] * b[k]) + (e[2] * c[k] + e[3] * d[k]);
        }
        for (; j < end; ++j) {
          for (int64_t k = tile; k < stop; ++k) weights[k] -= errors[j - begin] * FactorRow(j)[k];
        }
      }
    }
  }

  const ColumnsInput& input_;
  const PackedShape& shape_;
  const int64_t cols_;
  const std::span<const float> importance_;  // by column
  PackedContent& content_;
  int64_t first_ = 0, count_ = 0;
  int64_t saturated_ = 0;
  std::vector<float> rows_;            // [kRows, cols], in order
  std::vector<float> errors_;          // [kRows, kBlock]
  std::vector<GroupRange> ranges_;     // [kRows, groups]
  std::vector<int64_t> next_outlier_;  // by row: its first one
  std::vector<uint8_t> is_outlier_;    // [kRows, cols], by column
  std::vector<float> gathered_, weighing_;
  std::vector<float> original_;
  std::vector<uint16_t> row_scales_;  // FP16 bits, where scales are stored in 8 bits
};

// 1 / U_jj^2 by column.
std::vector<float> ImportanceOf(const ColumnsInput& input) {
  const int64_t cols = input.shape.cols;
  std::vector<float> importance(static_cast<size_t>(cols));
  for (int64_t place = 0; place < cols; ++place) {
    const float diagonal = input.factor[static_cast<size_t>(place * (cols + 1))];
    const int64_t column = input.order.empty() ? place : input.order[static_cast<size_t>(place)];
    importance[static_cast<size_t>(column)] = 1.0F / (diagonal * diagonal);
  }
  return importance;
}

}  // namespace

QuantizedMatrix CompensateColumns(const ColumnsInput& input, ThreadPool& pool) {
  QuantizedMatrix out;
  out.content = EmptyContent(input.shape, input.outliers);
  const std::vector<float> importance = ImportanceOf(input);
  const int64_t chunks = (input.shape.rows + kRows - 1) / kRows;
  std::vector<int64_t> saturated(static_cast<size_t>(chunks));
  pool.ParallelFor(chunks, 1, [&](int64_t begin, int64_t end, int) {
    Chunk chunk(input, importance, out.content);
    for (int64_t i = begin; i < end; ++i) {
      saturated[static_cast<size_t>(i)] = chunk.Run(i * kRows, std::min(kRows, input.shape.rows - i * kRows));
    }
  });
  for (const int64_t count : saturated) out.saturated += count;
  return out;
}

}  // namespace gwq
