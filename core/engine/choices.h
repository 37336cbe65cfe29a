// From log-likelihoods of choices to their probabilities.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gwq {

// Softmax of log_likelihoods[i] / lengths[i]: the model's own preference where every length is 1, and one that does not
// favour short texts where lengths count tokens or bytes. Sums to 1. Lengths are at least 1. Where every likelihood is
// -infinity all choices are equally probable.
[[nodiscard]] std::vector<double> ChoiceProbabilities(std::span<const double> log_likelihoods,
                                                      std::span<const int64_t> lengths);

}  // namespace gwq
