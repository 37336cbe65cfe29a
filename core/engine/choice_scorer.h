// Scores several continuations of a prompt from one computation of the prompt.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

// The first token of every choice is scored from the logits of the prompt's last row. Choices with more tokens then run
// behind the prompt one after the other, without their last token, each in place of the previous one. Not
// thread-safe.
class ChoiceScorer {
 public:
  // None of them is empty.
  explicit ChoiceScorer(std::vector<std::vector<int32_t>> choices);

  // Whether there are choices to score.
  [[nodiscard]] bool active() const { return !choices_.empty(); }
  // The tokens that are behind the prompt now.
  [[nodiscard]] std::span<const int32_t> Standing() const;
  // The row whose logits are next, counted from the prompt's last; the rows before were taken.
  [[nodiscard]] int64_t next_row() const { return next_row_; }
  // Takes the logits of next_row(). True if another choice is behind the prompt now, or if all are done. INTERNAL if
  // logits are not finite.
  [[nodiscard]] absl::StatusOr<bool> Take(std::span<const float> logits);
  [[nodiscard]] bool done() const { return current_ == choices_.size(); }
  // By choice: the sum of the log-probabilities of its tokens scored so far.
  [[nodiscard]] const std::vector<double>& log_likelihoods() const { return log_likelihoods_; }

 private:
  void SkipSingleTokens();

  const std::vector<std::vector<int32_t>> choices_;
  std::vector<double> log_likelihoods_;
  size_t current_ = 0;
  int64_t next_row_ = 0;
};

}  // namespace gwq
