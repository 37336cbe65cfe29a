// From log-likelihoods of choices to which is preferred. The one place where choices are compared: serving and
// evaluation use it alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gwq {

// Softmax of log_likelihoods[i] / lengths[i]: the model's own preference where `lengths` is empty or every length is 1,
// and one that does not favour short texts where lengths count tokens, characters or bytes. Sums to 1. Lengths are at
// least 1. Where every likelihood is -infinity all choices are equally probable.
[[nodiscard]] std::vector<double> ChoiceProbabilities(std::span<const double> log_likelihoods,
                                                      std::span<const int64_t> lengths = {});

// The index of the largest log_likelihoods[i] / lengths[i], the lowest of equal ones. At least one choice.
[[nodiscard]] size_t BestChoice(std::span<const double> log_likelihoods, std::span<const int64_t> lengths = {});

// sum p ln(p / q) in nats over probabilities of the same choices; terms with p = 0 are 0.
[[nodiscard]] double KlDivergence(std::span<const double> p, std::span<const double> q);

}  // namespace gwq
