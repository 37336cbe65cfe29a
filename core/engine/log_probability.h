// Probabilities from logits.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/statusor.h"

namespace gwq {

// log(sum(exp(logits))), so that logits[t] - LogSumExp(logits) is the log-probability of token t. Sums in double.
// INTERNAL as Sampler::Sample: a logit is NaN or +infinity, or all are -infinity.
[[nodiscard]] absl::StatusOr<double> LogSumExp(std::span<const float> logits);

}  // namespace gwq
