#include "core/engine/log_probability.h"

#include <cmath>
#include <limits>

namespace gwq {

absl::StatusOr<double> LogSumExp(std::span<const float> logits) {
  constexpr float kLowest = std::numeric_limits<float>::lowest();
  constexpr float kMost = std::numeric_limits<float>::max();
  float largest = -std::numeric_limits<float>::infinity();
  bool broken = false;
  for (const float logit : logits) {
    broken |= !(logit <= kMost);
    largest = logit > largest ? logit : largest;
  }
  if (broken || largest < kLowest) {
    return absl::InternalError("logits are not finite: the model's weights are damaged or overflow");
  }
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - static_cast<double>(largest));
  return static_cast<double>(largest) + std::log(sum);
}

}  // namespace gwq
