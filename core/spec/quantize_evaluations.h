// What a quantization measures before and after: the tasks that are named, or else a text.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/spec/evaluation_task.h"

namespace gwq {

// The measurement of a text as a recipe asked for it one version ago. Empty and unset: not mentioned.
struct OldTextEvaluation {
  std::string text = {};
  std::optional<int64_t> tokens = {};  // 0: measure no text
  std::optional<int64_t> window = {};

  [[nodiscard]] bool given() const { return !text.empty() || tokens || window; }
};

// Takes "evaluation_text", "evaluation_tokens" and "evaluation_window" out of a recipe's object. INVALID_ARGUMENT at
// "recipe.<field>" for another type.
[[nodiscard]] absl::StatusOr<OldTextEvaluation> TakeOldTextEvaluation(nlohmann::json& recipe);

// The text that `old` asks for, if it does, and then `named`. Where neither says anything: perplexity and divergence on
// the text that ships. Texts are computed by `threads` threads. INVALID_ARGUMENT at "recipe.evaluation_<field>" for
// what `old` asks; `named` is not checked.
[[nodiscard]] absl::StatusOr<std::vector<EvaluationTask>> QuantizeEvaluations(std::vector<EvaluationTask> named,
                                                                              const OldTextEvaluation& old,
                                                                              int threads);

}  // namespace gwq
