#include "core/quant/job/visited_objective.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "core/base/status.h"

namespace gwq {

namespace {

// They add up to 1.
std::vector<double> RowWeights(std::span<const float> target, size_t width) {
  std::vector<double> squares(target.size() / width);
  for (size_t row = 0; row < squares.size(); ++row) {
    for (const float value : target.subspan(row * width, width)) squares[row] += static_cast<double>(value) * value;
  }
  std::vector<double> sorted = squares;
  const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 2);
  std::ranges::nth_element(sorted, middle);
  const double least = 0.1 * *middle;
  double sum = 0;
  for (double& one : squares) {
    one = least > 0 ? 1 / std::max(one, least) : 1;
    sum += one;
  }
  for (double& one : squares) one /= sum;
  return squares;
}

}  // namespace

absl::StatusOr<VisitedObjective> VisitedObjective::Create(VisitedBlock& block, std::vector<const NamedWeight*> matrices,
                                                          std::span<const float> metric, const Solver& solver) {
  for (const NamedWeight* const matrix : matrices) GWQ_RETURN_IF_ERROR(block.WantGradient(*matrix));
  return VisitedObjective(block, std::move(matrices), metric, solver);
}

absl::StatusOr<double> VisitedObjective::Measure(std::span<float> output, std::span<const float> target) const {
  const auto width = static_cast<size_t>(block_.width());
  if (output.size() != target.size() || output.empty() || output.size() % width != 0) {
    return absl::InternalError(
        fmt::format("an output of {} values and a target of {}, in rows of {}", output.size(), target.size(), width));
  }
  for (size_t i = 0; i < output.size(); ++i) output[i] -= target[i];
  std::vector<float> weighted;
  if (metric_.empty()) {
    weighted.assign(output.begin(), output.end());
    for (float& value : weighted) value /= static_cast<float>(width);
  } else {
    GWQ_ASSIGN_OR_RETURN(weighted, solver_.Multiply(output, metric_, block_.width()));
  }
  const std::vector<double> weights = RowWeights(target, width);
  double loss = 0;
  for (size_t i = 0; i < output.size(); ++i) {
    const double weight = weights[i / width];
    loss += weight * static_cast<double>(output[i]) * weighted[i];
    output[i] = static_cast<float>(2.0 * weight * weighted[i]);
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
