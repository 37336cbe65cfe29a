// Compares choices by their log-likelihoods. Serving and evaluation both use it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gwq {

// Softmax of log_likelihoods[i] / lengths[i]: the model's own preference if `lengths` is empty or every length is 1,
// and a preference that does not favour short texts if lengths count tokens, characters or bytes. Sums to 1. Lengths
// are at least 1. If every likelihood is -infinity, all choices are equally probable.
[[nodiscard]] std::vector<double> ChoiceProbabilities(std::span<const double> log_likelihoods,
                                                      std::span<const int64_t> lengths = {});

// The natural logarithms of ChoiceProbabilities, exact where a probability is too small for a double.
[[nodiscard]] std::vector<double> ChoiceLogProbabilities(std::span<const double> log_likelihoods);

// The index of the largest log_likelihoods[i] / lengths[i], the lowest of equal ones. At least one choice.
[[nodiscard]] size_t BestChoice(std::span<const double> log_likelihoods, std::span<const int64_t> lengths = {});

// sum p ln(p / q) in nats, from the natural logarithms of two distributions over the same choices. It is infinite only
// if one that p allows has the logarithm -infinity in q. Terms with p = 0 are 0.
[[nodiscard]] double KlDivergence(std::span<const double> log_p, std::span<const double> log_q);

}  // namespace gwq
