#include "core/quant/packer.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "core/base/status.h"
#include "core/quant/group_quantize.h"
#include "core/quant/outliers.h"

namespace gwq {
namespace {

// Square root of a share; a matrix of zeros loses nothing.
double RootShare(double part, double whole) { return whole > 0 ? std::sqrt(part / whole) : 0.0; }

ReportModule ReportOf(const PlannedModule& module, const QuantizedMatrix& made, bool has_gradient) {
  ReportModule report;
  report.tensor = module.tensor;
  report.part = module.part;
  report.norm = made.norm;
  report.error = made.error;
  report.method = module.method;
  report.packed = module.packed;
  report.weights = module.weights;
  report.stored_bytes = module.stored_bytes;
  report.relative_error = RootShare(made.error, made.norm);
  if (has_gradient) report.weighted_error = RootShare(made.weighted_error, made.weighted_norm);
  report.saturated = made.saturated;
  return report;
}

}  // namespace

bool NeedsGradient(const PlannedModule& module, const Recipe& recipe) {
  return module.method == Method::kGwq && recipe.select == Select::kGradient && module.packed.outliers > 0;
}

absl::StatusOr<std::vector<int64_t>> Packer::Outliers(const PlannedModule& module, const TensorView& weights,
                                                      std::span<const float> gradient) const {
  const int64_t count = module.packed.outliers;
  if (count == 0) return std::vector<int64_t>{};
  if (recipe_.select == Select::kGradient) {
    if (gradient.size() != module.weights) {
      return absl::InternalError(
          fmt::format("{} has {} weights and {} gradients", module.tensor, module.weights, gradient.size()));
    }
    return LargestScores(gradient, count, module.tensor);
  }
  std::vector<float> scores(module.weights);
  if (recipe_.select == Select::kMagnitude) {
    ToFloat(weights, 0, scores);
  } else {
    RandomScores(recipe_.seed, module.tensor, scores);
  }
  return LargestScores(scores, count, module.tensor);
}

absl::Status Packer::Pack(const PlannedModule& module, std::span<const float> gradient) {
  GWQ_ASSIGN_OR_RETURN(DenseTensor tensor, source_.Dense(module.tensor));
  tensor.view.shape = MatrixShape(tensor.view.shape);
  GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> outliers, Outliers(module, tensor.view, gradient));
  std::vector<std::byte> bytes;
  {
    GWQ_ASSIGN_OR_RETURN(QuantizedMatrix made,
                         QuantizeMatrix(tensor.view, module.packed, outliers, gradient, module.tensor, team_));
    reports_.emplace(module.tensor, ReportOf(module, made, !gradient.empty()));
    GWQ_ASSIGN_OR_RETURN(bytes, EncodePacked(made.content));
  }
  tensor.blob->DropPages();
  return writer_.AddPacked(module.tensor, bytes);
}

std::vector<ReportModule> Packer::Reports(const Plan& plan) const {
  std::vector<ReportModule> out;
  for (const PlannedModule& module : plan.modules) {
    if (const auto found = reports_.find(module.tensor); found != reports_.end()) out.push_back(found->second);
  }
  return out;
}

}  // namespace gwq
