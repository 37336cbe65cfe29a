// From a question's texts to the tokens that are scored.
#pragma once

#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "core/evaluation/choice_walk.h"
#include "core/models/config.h"
#include "core/spec/dataset.h"
#include "core/text/model_text.h"

namespace gwq {

struct MadeChoicePrompt {
  ChoicePrompt prompt;
  bool truncated = false;  // the context's beginning did not fit
};

// As lm-evaluation-harness encodes context and continuation: a continuation is the delimiter and the choice; white
// space at the context's end belongs to it; its tokens are those that EncodeChoices gives it, as for a choice that is
// served; no special tokens are added. An empty context is the token that begins a text, or else one that ends it. What
// does not fit the model's context is cut from the beginning, by the longest choice.
class ChoicePromptMaker {
 public:
  // All must outlive it.
  ChoicePromptMaker(const ModelText& text, const ModelConfig& config, const std::string& delimiter)
      : text_(text), config_(config), delimiter_(delimiter) {}

  // INVALID_ARGUMENT at "line N.choices[i]" for a choice that has no token of its own, holds or completes a special
  // token, or is longer than the model's context; at "line N.context" for one with an image's marker; at "line N" for
  // too many tokens or one outside the vocabulary.
  [[nodiscard]] absl::StatusOr<MadeChoicePrompt> Make(const DatasetItem& item) const;

 private:
  [[nodiscard]] absl::Status CheckVocabulary(const ChoicePrompt& prompt, const DatasetItem& item) const;
  // Neither image markers nor, in a choice, special tokens.
  [[nodiscard]] absl::Status CheckText(const ChoicePrompt& prompt, const std::string& context,
                                       std::span<const std::string> continuations, const DatasetItem& item) const;
  [[nodiscard]] absl::Status Cut(const DatasetItem& item, MadeChoicePrompt& made) const;

  const ModelText& text_;
  const ModelConfig& config_;
  const std::string& delimiter_;
};

}  // namespace gwq
