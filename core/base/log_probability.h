// Probabilities from logits: the one place where a softmax is taken. All sums are in double, so results depend on the
// logits alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

// The index of the largest logit, the lowest of equal ones. INTERNAL if a logit is NaN or +infinity, or all are
// -infinity: the model's weights are damaged or overflow. -infinity alone bans a token.
[[nodiscard]] absl::StatusOr<size_t> LargestLogit(std::span<const float> logits);

// log(sum(exp(logits))). The errors of LargestLogit.
[[nodiscard]] absl::StatusOr<double> LogSumExp(std::span<const float> logits);

// Natural logarithm of the probability of `token`, where `log_sum_exp` is LogSumExp(logits).
[[nodiscard]] inline double LogProbability(std::span<const float> logits, int32_t token, double log_sum_exp) {
  return static_cast<double>(logits[static_cast<size_t>(token)]) - log_sum_exp;
}

// exp(v) / sum(exp(v)) of each value: sums to 1. Where every value is -infinity all are equally probable. Nothing where
// `values` is empty. No value is NaN or +infinity.
[[nodiscard]] std::vector<double> Softmax(std::vector<double> values);

// Natural logarithms of Softmax(values), exact where a probability is too small for a double.
[[nodiscard]] std::vector<double> LogSoftmax(std::vector<double> values);

// The log-softmax of logits. The errors of LargestLogit.
[[nodiscard]] absl::StatusOr<std::vector<double>> LogProbabilities(std::span<const float> logits);

}  // namespace gwq
