// SpQR (arXiv 2306.03078): GPTQ with the weights whose rounding costs the most output error kept in FP16.
//
// The outliers are the OutlierCount weights with the largest |w - w'| / sqrt((G^-1)_jj) of the whole matrix, of equal
// ones the lower position: w' is what method rtn makes of w, and G the damped Gram matrix of CompensationFactor. The
// paper leaves each weight out of its group's range in turn instead, and marks by a threshold. The rest is
// CompensateColumns, in which an outlier's value is FP16 of the weight as compensated so far.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/base/status.h"
#include "core/quant/gptq/columns.h"
#include "core/quant/gptq/factor.h"
#include "core/quant/outliers.h"
#include "core/quant/quantizers.h"

namespace gwq {
namespace {

// The diagonal of the inverse Gram matrix: the squared norms of the factor's columns.
std::vector<float> InverseDiagonal(std::span<const float> factor, int64_t size) {
  std::vector<double> sums(static_cast<size_t>(size));
  for (int64_t row = 0; row < size; ++row) {
    const float* const values = factor.data() + row * size;
    for (int64_t col = row; col < size; ++col) {
      sums[static_cast<size_t>(col)] += static_cast<double>(values[col]) * values[col];
    }
  }
  return {sums.begin(), sums.end()};
}

// |w - w'| / sqrt((G^-1)_jj), with w' as round to nearest makes it of the whole group's range and G damped as for the
// factor: the square is twice the output error that rounding this weight costs once the others have adapted (arXiv
// 2306.03078, equation 2).
std::vector<float> Sensitivities(const MatrixInput& input, std::span<const float> factor, ThreadPool& pool) {
  const PackedShape& shape = input.shape;
  const std::vector<float> inverse = InverseDiagonal(factor, shape.cols);
  std::vector<float> scores(static_cast<size_t>(shape.rows * shape.cols));
  pool.ParallelFor(shape.rows, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(static_cast<size_t>(shape.cols));
    std::vector<uint8_t> codes(static_cast<size_t>(shape.group_size));
    for (int64_t r = begin; r < end; ++r) {
      ToFloat(input.weights, r * shape.cols, row);
      for (int64_t first = 0; first < shape.cols; first += shape.group_size) {
        const auto count = static_cast<size_t>(std::min(shape.group_size, shape.cols - first));
        const std::span<const float> group = std::span<const float>(row).subspan(static_cast<size_t>(first), count);
        const GroupCodes made = QuantizeGroup(group, shape.bits, std::span(codes).first(count));
        const float scale = HalfToFloat(made.scale);
        for (size_t i = 0; i < count; ++i) {
          const float lost = group[i] - static_cast<float>(codes[i] - made.zero) * scale;
          const size_t column = static_cast<size_t>(first) + i;
          // A weight near the end of the single precision range is an outlier, not an error.
          scores[static_cast<size_t>(r * shape.cols) + column] =
              std::min(std::fabs(lost) / std::sqrt(inverse[column]), std::numeric_limits<float>::max());
        }
      }
    }
  });
  return scores;
}

class SpqrQuantizer final : public Quantizer {
 public:
  [[nodiscard]] Method method() const override { return Method::kSpqr; }
  [[nodiscard]] Needs needs(const Recipe&, int64_t) const override { return Needs::kGram; }
  [[nodiscard]] bool Takes(TensorKind kind) const override { return kind == TensorKind::kLinear; }
  [[nodiscard]] double DefaultOutlierRatio(const Recipe& recipe) const override { return recipe.spqr.outlier_ratio; }

  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override {
    PackedShape shape = request.shape;
    shape.outliers = OutlierCount(request.outlier_ratio, shape.rows * shape.cols);
    return shape;
  }

  // Beside GPTQ's: scores, sorted scores and positions.
  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe&) const override {
    return CompensationBytes(shape) + static_cast<uint64_t>(shape.rows * shape.cols) * 8 +
           static_cast<uint64_t>(shape.outliers) * 24;
  }

  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe& recipe,
                                                         const QuantizeTools& tools) const override {
    if (absl::Status s = CheckFinite(input.weights, input.shape.cols, input.tensor, tools.pool); !s.ok()) return s;
    const SpqrOptions& options = recipe.spqr;
    GWQ_ASSIGN_OR_RETURN(
        const std::vector<float> factor,
        CompensationFactor(input.gram, input.shape.cols, options.damping, {}, input.tensor, *tools.solver));
    std::vector<int64_t> outliers;
    if (input.shape.outliers > 0) {
      GWQ_ASSIGN_OR_RETURN(outliers,
                           LargestScores(Sensitivities(input, factor, tools.pool), input.shape.outliers, input.tensor));
    }
    QuantizedMatrix made =
        CompensateColumns({input.weights, input.shape, factor, {}, outliers, options.range_search}, tools.pool);
    MeasureErrors(input.weights, input.gradient, tools.pool, made);
    return made;
  }
};

}  // namespace

const Quantizer& SpqrMethod() {
  static const SpqrQuantizer method;
  return method;
}

}  // namespace gwq
