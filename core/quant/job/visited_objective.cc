#include "core/quant/job/visited_objective.h"

#include <fmt/format.h>

#include <cmath>
#include <utility>

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<VisitedObjective> VisitedObjective::Create(VisitedBlock& block, std::vector<const NamedWeight*> matrices,
                                                          std::span<const float> metric, const Solver& solver) {
  for (const NamedWeight* const matrix : matrices) GWQ_RETURN_IF_ERROR(block.WantGradient(*matrix));
  return VisitedObjective(block, std::move(matrices), metric, solver);
}

absl::StatusOr<double> VisitedObjective::Measure(std::span<float> output, std::span<const float> target) const {
  if (output.size() != target.size()) {
    return absl::InternalError(fmt::format("an output of {} values, and a target of {}", output.size(), target.size()));
  }
  const auto width = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(metric_.size()))));
  for (size_t i = 0; i < output.size(); ++i) output[i] -= target[i];
  // Without a metric the number of rows is not known, nor is it needed: the mean is over all values.
  const double rows = static_cast<double>(output.size()) / static_cast<double>(width > 0 ? width : 1);
  std::vector<float> weighted;
  if (width > 0) {
    GWQ_ASSIGN_OR_RETURN(weighted, solver_.Multiply(output, metric_, width));
  } else {
    weighted.assign(output.begin(), output.end());
  }
  double loss = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    loss += static_cast<double>(output[i]) * weighted[i] / rows;
    output[i] = static_cast<float>(2.0 * weighted[i] / rows);
  }
  return loss;
}

absl::StatusOr<double> VisitedObjective::Loss(size_t sample) {
  const size_t which = block_.samples()[sample];
  GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, block_.Input(which));
  GWQ_ASSIGN_OR_RETURN(const std::vector<float> target, block_.Target(which));
  GWQ_ASSIGN_OR_RETURN(std::vector<float> output, block_.loaded().Forward(which, input));
  return Measure(output, target);
}

absl::StatusOr<double> VisitedObjective::LossBackward(size_t sample) {
  const size_t which = block_.samples()[sample];
  GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, block_.Input(which));
  GWQ_ASSIGN_OR_RETURN(const std::vector<float> target, block_.Target(which));
  absl::StatusOr<double> loss = 0.0;
  GWQ_RETURN_IF_ERROR(
      block_.loaded().LossBackward(which, input, [&](std::span<float> output) { loss = Measure(output, target); }));
  if (loss.ok() && !std::isfinite(*loss)) {
    return absl::FailedPreconditionError(
        fmt::format("the loss of stage {} is {}: the calibration sample drives the model out of range; use another "
                    "sample, or method rtn",
                    block_.stage(), *loss));
  }
  return loss;
}

void VisitedObjective::DropGradients() {
  for (const NamedWeight* const matrix : matrices_) block_.DropGradient(*matrix);
}

}  // namespace gwq
