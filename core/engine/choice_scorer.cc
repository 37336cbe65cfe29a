#include "core/engine/choice_scorer.h"

#include <utility>

#include "core/base/log_probability.h"
#include "core/base/status.h"

namespace gwq {

ChoiceScorer::ChoiceScorer(std::vector<std::vector<int32_t>> choices)
    : choices_(std::move(choices)), log_likelihoods_(choices_.size(), 0.0) {}

std::span<const int32_t> ChoiceScorer::Standing() const {
  if (next_row_ == 0 || done()) return {};
  return std::span(choices_[current_]).first(choices_[current_].size() - 1);
}

void ChoiceScorer::SkipSingleTokens() {
  while (!done() && choices_[current_].size() == 1) ++current_;
}

absl::StatusOr<bool> ChoiceScorer::Take(std::span<const float> logits) {
  GWQ_ASSIGN_OR_RETURN(const double log_sum_exp, LogSumExp(logits));
  const auto log_probability = [&](int32_t token) { return LogProbability(logits, token, log_sum_exp); };
  if (next_row_ == 0) {
    for (size_t i = 0; i < choices_.size(); ++i) log_likelihoods_[i] = log_probability(choices_[i][0]);
    next_row_ = 1;
    SkipSingleTokens();
    return true;
  }
  log_likelihoods_[current_] += log_probability(choices_[current_][static_cast<size_t>(next_row_)]);
  ++next_row_;
  if (next_row_ < static_cast<int64_t>(choices_[current_].size())) return false;
  next_row_ = 1;
  ++current_;
  SkipSingleTokens();
  return true;
}

}  // namespace gwq
