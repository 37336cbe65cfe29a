#include "core/quant/choice_prompt.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"

namespace gwq {
namespace {

std::string ChoiceField(const DatasetItem& item, size_t choice) {
  return fmt::format("line {}.choices[{}]", item.line, choice);
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> ChoicePromptMaker::Encode(std::string_view text, const DatasetItem& item) const {
  GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, text_.tokenizer().Encode(text, /*add_special_tokens=*/false));
  for (const int32_t token : tokens) {
    if (token < config_.vocab_size) continue;
    return InvalidField(fmt::format("line {}", item.line),
                        fmt::format("holds token {}, the model's vocabulary has {}", token, config_.vocab_size));
  }
  return tokens;
}

absl::StatusOr<MadeChoicePrompt> ChoicePromptMaker::Make(const DatasetItem& item) const {
  const size_t kept = item.context.find_last_not_of(" \t\n\r\f\v");
  const std::string context = item.context.substr(0, kept == std::string::npos ? 0 : kept + 1);
  const std::string_view space = std::string_view(item.context).substr(context.size());
  MadeChoicePrompt made;
  GWQ_ASSIGN_OR_RETURN(made.prompt.tokens, Encode(context, item));
  const size_t shared = made.prompt.tokens.size();
  for (size_t i = 0; i < item.choices.size(); ++i) {
    GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> both,
                         Encode(fmt::format("{}{}{}{}", context, space, delimiter_, item.choices[i]), item));
    if (both.size() <= shared) return InvalidField(ChoiceField(item, i), "has no token of its own behind the context");
    made.prompt.choices.emplace_back(both.begin() + static_cast<std::ptrdiff_t>(shared), both.end());
  }
  if (shared == 0) {
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
