// GWQ (arXiv 2411.00850): the weights with the largest gradients stay in FP16, the others are rounded in groups.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/base/status.h"
#include "core/quant/outliers.h"
#include "core/quant/quantizers.h"

namespace gwq {
namespace {

absl::Status CheckGradient(const MatrixInput& input) {
  const auto bad = std::ranges::find_if(input.gradient, [](float value) { return !std::isfinite(value); });
  if (bad == input.gradient.end()) return absl::OkStatus();
  const int64_t at = bad - input.gradient.begin();
  return absl::FailedPreconditionError(
      fmt::format("the gradient of {} is {} at row {}, column {}: the calibration sample drives the model out of "
                  "range; use another sample, keep this module with a rule, or use method rtn",
                  input.tensor, *bad, at / input.shape.cols, at % input.shape.cols));
}

absl::StatusOr<std::vector<int64_t>> Outliers(const MatrixInput& input, const Recipe& recipe, ThreadPool& pool) {
  const int64_t count = input.shape.outliers;
  if (count == 0) return std::vector<int64_t>{};
  const auto weights = static_cast<size_t>(input.shape.rows * input.shape.cols);
  if (recipe.gwq.select == Select::kGradient) {
    if (input.gradient.size() != weights) {
      return absl::InternalError(
          fmt::format("{} has {} weights and {} gradients", input.tensor, weights, input.gradient.size()));
    }
    if (absl::Status status = CheckGradient(input); !status.ok()) return status;
    return LargestScores(input.gradient, count, input.tensor);
  }
  std::vector<float> scores(weights);
  if (recipe.gwq.select == Select::kMagnitude) {
    if (absl::Status s = CheckFinite(input.weights, input.shape.cols, input.tensor, pool); !s.ok()) return s;
    ToFloat(input.weights, 0, scores);
  } else {
    RandomScores(recipe.seed, input.tensor, scores);
  }
  return LargestScores(scores, count, input.tensor);
}

class GwqQuantizer final : public Quantizer {
 public:
  [[nodiscard]] Method method() const override { return Method::kGwq; }
  [[nodiscard]] Needs needs(const Recipe& recipe, int64_t outliers) const override {
    return recipe.gwq.select == Select::kGradient && outliers > 0 ? Needs::kGradient : Needs::kNothing;
  }

  // Gradients are taken of Linear weights only.
  [[nodiscard]] bool Takes(TensorKind kind) const override { return kind == TensorKind::kLinear; }

  [[nodiscard]] double DefaultOutlierRatio(const Recipe& recipe) const override { return recipe.gwq.outlier_ratio; }

  [[nodiscard]] PackedShape Plan(const MatrixRequest& request) const override {
    PackedShape shape = request.shape;
    shape.outliers = OutlierCount(request.outlier_ratio, shape.rows * shape.cols);
    return shape;
  }

  // Codes, sorted scores, the scores themselves where they are no gradient, and positions.
  [[nodiscard]] uint64_t Memory(const PackedShape& shape, const Recipe& recipe) const override {
    const auto weights = static_cast<uint64_t>(shape.rows * shape.cols);
    const uint64_t scores = recipe.gwq.select == Select::kGradient ? 4 : 8;
    return weights * (1 + scores) + static_cast<uint64_t>(shape.outliers) * 24;
  }

  [[nodiscard]] absl::StatusOr<QuantizedMatrix> Quantize(const MatrixInput& input, const Recipe& recipe,
                                                         const QuantizeTools& tools) const override {
    GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> outliers, Outliers(input, recipe, tools.pool));
    return QuantizeMatrix(input.weights, input.shape, outliers, input.gradient, input.tensor, tools.pool);
  }
};

}  // namespace

const Quantizer& GwqMethod() {
  static const GwqQuantizer method;
  return method;
}

}  // namespace gwq
