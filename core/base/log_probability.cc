#include "core/base/log_probability.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<size_t> LargestLogit(std::span<const float> logits) {
  bool broken = false;
  // A NaN makes every comparison false, so this catches it together with +infinity.
  for (const float logit : logits) broken |= !(logit <= std::numeric_limits<float>::max());
  const auto largest = std::max_element(logits.begin(), logits.end());
  if (broken || largest == logits.end() || *largest < std::numeric_limits<float>::lowest()) {
    return absl::InternalError("logits are not finite: the model's weights are damaged or overflow");
  }
  return static_cast<size_t>(largest - logits.begin());
}

absl::StatusOr<double> LogSumExp(std::span<const float> logits) {
  GWQ_ASSIGN_OR_RETURN(const size_t index, LargestLogit(logits));
  const auto largest = static_cast<double>(logits[index]);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - largest);
  return largest + std::log(sum);
}

std::vector<double> Softmax(std::vector<double> values) {
  if (values.empty()) return values;
  const double largest = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double& value : values) sum += value = std::isinf(largest) ? 1 : std::exp(value - largest);
  for (double& value : values) value /= sum;
  return values;
}

std::vector<double> LogSoftmax(std::vector<double> values) {
  if (values.empty()) return values;
  const double largest = *std::max_element(values.begin(), values.end());
  if (std::isinf(largest)) return std::vector<double>(values.size(), -std::log(static_cast<double>(values.size())));
  double sum = 0;
  for (const double value : values) sum += std::exp(value - largest);
  const double norm = largest + std::log(sum);
  for (double& value : values) value -= norm;
  return values;
}

absl::StatusOr<std::vector<double>> LogProbabilities(std::span<const float> logits) {
  GWQ_RETURN_IF_ERROR(LargestLogit(logits).status());
  return LogSoftmax(std::vector<double>(logits.begin(), logits.end()));
}

}  // namespace gwq
