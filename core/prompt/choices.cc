#include "core/prompt/choices.h"

#include <algorithm>
#include <cmath>

#include "core/base/log_probability.h"

namespace gwq {
namespace {

std::vector<double> Scores(std::span<const double> log_likelihoods, std::span<const int64_t> lengths) {
  std::vector<double> scores(log_likelihoods.begin(), log_likelihoods.end());
  for (size_t i = 0; i < lengths.size(); ++i) scores[i] /= static_cast<double>(lengths[i]);
  return scores;
}

}  // namespace

std::vector<double> ChoiceProbabilities(std::span<const double> log_likelihoods, std::span<const int64_t> lengths) {
  return Softmax(Scores(log_likelihoods, lengths));
}

std::vector<double> ChoiceLogProbabilities(std::span<const double> log_likelihoods) {
  return LogSoftmax(Scores(log_likelihoods, {}));
}

size_t BestChoice(std::span<const double> log_likelihoods, std::span<const int64_t> lengths) {
  const std::vector<double> scores = Scores(log_likelihoods, lengths);
  return static_cast<size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

double KlDivergence(std::span<const double> log_p, std::span<const double> log_q) {
  double sum = 0;
  for (size_t i = 0; i < log_p.size(); ++i) {
    const double p = std::exp(log_p[i]);
    if (p > 0) sum += p * (log_p[i] - log_q[i]);
  }
  return sum;
}

}  // namespace gwq
