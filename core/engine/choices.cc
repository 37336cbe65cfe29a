#include "core/engine/choices.h"

#include <algorithm>
#include <cmath>

namespace gwq {

std::vector<double> ChoiceProbabilities(std::span<const double> log_likelihoods, std::span<const int64_t> lengths) {
  std::vector<double> out;
  for (size_t i = 0; i < log_likelihoods.size(); ++i) {
    out.push_back(log_likelihoods[i] / static_cast<double>(lengths[i]));
  }
  if (out.empty()) return out;
  const double largest = *std::max_element(out.begin(), out.end());
  double sum = 0;
  for (double& value : out) sum += value = std::isinf(largest) ? 1 : std::exp(value - largest);
  for (double& value : out) value /= sum;
  return out;
}

}  // namespace gwq
