#include "core/evaluation/choice_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <span>

#include "core/base/status.h"
#include "core/prompt/choice_text.h"
#include "core/text/choice_tokens.h"

namespace gwq {
namespace {

std::string ChoiceField(const DatasetItem& item, size_t choice) {
  return fmt::format("line {}.choices[{}]", item.line, choice);
}

// A fault of a choice as one of the line's.
absl::Status AtLine(const DatasetItem& item, const absl::Status& status) {
  const auto violations = FieldViolations(status);
  if (violations.empty() || !violations[0].field.starts_with("choices")) return status;
  return InvalidField(fmt::format("line {}.{}", item.line, violations[0].field), violations[0].description);
}

}  // namespace

absl::Status ChoicePromptMaker::CheckVocabulary(const ChoicePrompt& prompt, const DatasetItem& item) const {
  int32_t largest = 0;
  const auto look = [&](const std::vector<int32_t>& tokens) {
    for (const int32_t token : tokens) largest = std::max(largest, token);
  };
  look(prompt.tokens);
  for (const std::vector<int32_t>& choice : prompt.choices) look(choice);
  if (largest < config_.vocab_size) return absl::OkStatus();
  return InvalidField(fmt::format("line {}", item.line),
                      fmt::format("holds token {}, the model's vocabulary has {}", largest, config_.vocab_size));
}

absl::Status ChoicePromptMaker::CheckText(const ChoicePrompt& prompt, const std::string& context,
                                          std::span<const std::string> continuations, const DatasetItem& item) const {
  const Tokenizer& tokenizer = text_.tokenizer();
  const int32_t image = config_.image_token_id;
  const std::vector<int32_t> given = NamedTokens(tokenizer, context, prompt.tokens, image);
  if (std::ranges::find(given, image) != given.end()) {
    return InvalidField(
        fmt::format("line {}.context", item.line),
        fmt::format("holds '{}', which marks an image; leave it out", tokenizer.IdToToken(image).value_or("")));
  }
  for (size_t i = 0; i < continuations.size(); ++i) {
    // Context and choice may complete one together.
    const std::vector<int32_t> named = NamedTokens(tokenizer, context + continuations[i], prompt.choices[i], image);
    GWQ_RETURN_IF_ERROR(CheckNoneNamed(tokenizer, named, ChoiceField(item, i)));
  }
  return absl::OkStatus();
}

absl::StatusOr<MadeChoicePrompt> ChoicePromptMaker::Make(const DatasetItem& item) const {
  const size_t kept = item.context.find_last_not_of(" \t\n\r\f\v");
  const std::string context = item.context.substr(0, kept == std::string::npos ? 0 : kept + 1);
  const std::string_view space = std::string_view(item.context).substr(context.size());
  std::vector<std::string> continuations;
  for (const std::string& choice : item.choices)
    continuations.push_back(fmt::format("{}{}{}", space, delimiter_, choice));
  absl::StatusOr<ChoiceTokens> encoded =
      EncodeChoices(text_.tokenizer(), context, continuations, /*add_special_tokens=*/false,
                    {.max_bytes = std::numeric_limits<size_t>::max()});
  if (!encoded.ok()) return AtLine(item, encoded.status());
  MadeChoicePrompt made;
  made.prompt.tokens = std::move(encoded->prompt);
  made.prompt.choices = std::move(encoded->choices);
  GWQ_RETURN_IF_ERROR(CheckVocabulary(made.prompt, item));
  GWQ_RETURN_IF_ERROR(CheckText(made.prompt, context, continuations, item));
  if (made.prompt.tokens.empty()) {
    const int32_t end = text_.stop_ids().empty() ? 0 : text_.stop_ids().front();
    made.prompt.tokens.push_back(text_.bos_id().value_or(end));
  }
  GWQ_RETURN_IF_ERROR(Cut(item, made));
  return made;
}

absl::Status ChoicePromptMaker::Cut(const DatasetItem& item, MadeChoicePrompt& made) const {
  std::vector<int32_t>& tokens = made.prompt.tokens;
  // The last token of a choice is predicted and never read.
  const int64_t room =
      std::min(config_.max_positions > 0 ? config_.max_positions : kChoiceWaveRows, kChoiceWaveRows) + 1;
  int64_t longest = 0;
  for (size_t i = 0; i < made.prompt.choices.size(); ++i) {
    const auto size = static_cast<int64_t>(made.prompt.choices[i].size());
    if (size >= room) {
      return InvalidField(ChoiceField(item, i),
                          fmt::format("has {} tokens, the model's context is {}", size, room - 1));
    }
    longest = std::max(longest, size);
  }
  const int64_t over = static_cast<int64_t>(tokens.size()) + longest - room;
  if (over > 0) {
    tokens.erase(tokens.begin(), tokens.begin() + over);
    made.truncated = true;
  }
  if (made.prompt.rows() <= kChoiceWaveRows) return absl::OkStatus();
  return InvalidField(
      fmt::format("line {}", item.line),
      fmt::format("has {} tokens with all its choices; at most {} are scored", made.prompt.rows(), kChoiceWaveRows));
}

}  // namespace gwq
