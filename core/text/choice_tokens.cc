#include "core/text/choice_tokens.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/text/token_bound.h"

namespace gwq {
namespace {

constexpr std::string_view kSpace = " \t\n\r\f\v";

std::string_view SpaceAtEnd(std::string_view text) {
  const size_t last = text.find_last_not_of(kSpace);
  return text.substr(last == std::string_view::npos ? 0 : last + 1);
}

// A prompt's tokens, and the end of its text that decides about tokens behind it.
struct Encoded {
  std::vector<int32_t> tokens;
  std::string_view tail;
  size_t tail_begin = 0;  // its first token; 0: it is the whole text
};

// A special token splits a text, so that what stands before the last one has no part in what follows. Without this a
// prompt with images would be encoded again, thousands of markers, for each of a thousand choices.
absl::StatusOr<Encoded> EncodePrompt(const Tokenizer& tokenizer, std::string_view prompt, bool add_special_tokens) {
  Encoded out{{}, prompt, 0};
  GWQ_ASSIGN_OR_RETURN(out.tokens, tokenizer.Encode(prompt, add_special_tokens));
  const auto last =
      std::find_if(out.tokens.rbegin(), out.tokens.rend(), [&](int32_t token) { return tokenizer.IsSpecial(token); });
  if (last == out.tokens.rend()) return out;
  const size_t at = prompt.rfind(tokenizer.IdToToken(*last).value_or(""));
  if (at == std::string_view::npos) return out;
  const std::string_view tail = prompt.substr(at);
  GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> alone, tokenizer.Encode(tail, /*add_special_tokens=*/false));
  if (!std::equal(alone.begin(), alone.end(), last.base() - 1, out.tokens.end())) return out;
  out.tail = tail;
  out.tail_begin = out.tokens.size() - alone.size();
  return out;
}

std::string ChoiceField(size_t choice) { return fmt::format("choices[{}]", choice); }

absl::Status CheckBytes(size_t tail, std::span<const std::string> continuations, size_t max_bytes) {
  size_t bytes = tail * continuations.size();
  for (const std::string& continuation : continuations) bytes += continuation.size();
  if (bytes <= max_bytes) return absl::OkStatus();
  return InvalidField("choices",
                      fmt::format("{} texts behind a prompt's end of {} bytes are {} bytes to encode, the limit is {}; "
                                  "give fewer choices or a shorter question",
                                  continuations.size(), tail, bytes, max_bytes));
}

// `joined` tells whether a continuation changes the prompt's tokens.
absl::StatusOr<ChoiceTokens> EncodeBehind(const Tokenizer& tokenizer, std::string_view prompt, std::string_view space,
                                          std::span<const std::string> continuations, bool add_special_tokens,
                                          size_t max_bytes, bool& joined) {
  GWQ_ASSIGN_OR_RETURN(Encoded encoded, EncodePrompt(tokenizer, prompt, add_special_tokens));
  GWQ_RETURN_IF_ERROR(CheckBytes(encoded.tail.size(), continuations, max_bytes));
  const auto alone = std::span<const int32_t>(encoded.tokens).subspan(encoded.tail_begin);
  ChoiceTokens out;
  for (size_t i = 0; i < continuations.size(); ++i) {
    const std::string text = fmt::format("{}{}{}", encoded.tail, space, continuations[i]);
    const absl::StatusOr<std::vector<int32_t>> both =
        tokenizer.Encode(text, add_special_tokens && encoded.tail_begin == 0);
    if (!both.ok()) return InvalidField(ChoiceField(i), MessageOf(both.status()));
    joined |= both->size() < alone.size() || !std::equal(alone.begin(), alone.end(), both->begin());
    if (both->size() <= alone.size()) {
      return InvalidField(ChoiceField(i), "has no token of its own behind the prompt; give it more than white space");
    }
    out.choices.emplace_back(both->begin() + std::ssize(alone), both->end());
  }
  out.prompt = std::move(encoded.tokens);
  return out;
}

// What the template writes between the head of an answer and the answer.
std::string AnswerLead(const ChatTemplate& chat_template, std::span<const ChatMessage> messages,
                       std::string_view rendered, RenderOptions options) {
  constexpr std::string_view kAnswer = "answer";
  const std::string usual = SpaceAtEnd(rendered).empty() ? " " : "";
  std::vector<ChatMessage> answered(messages.begin(), messages.end());
  ChatMessage& answer = answered.emplace_back(ChatMessage{"assistant", ""});
  const bool as_parts =
      std::ranges::any_of(messages, [](const ChatMessage& message) { return !message.parts.empty(); });
  if (as_parts) {
    answer.parts.push_back({.text = std::string(kAnswer)});
  } else {
    answer.content = kAnswer;
  }
  options.add_generation_prompt = false;
  const absl::StatusOr<std::string> whole = chat_template.Render(answered, options);
  if (!whole.ok() || !whole->starts_with(rendered)) return usual;
  const std::string_view rest = std::string_view(*whole).substr(rendered.size());
  const size_t begin = std::min(rest.find_first_not_of(kSpace), rest.size());
  return rest.substr(begin).starts_with(kAnswer) ? std::string(rest.substr(0, begin)) : usual;
}

}  // namespace

absl::StatusOr<ChoiceTokens> EncodeChoices(const Tokenizer& tokenizer, std::string_view prompt,
                                           std::span<const std::string> continuations, bool add_special_tokens,
                                           const EncodeLimits& limits) {
  GWQ_RETURN_IF_ERROR(CheckPromptTokens(tokenizer, prompt, "messages", limits.max_prompt_tokens));
  if (continuations.empty()) {
    GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, tokenizer.Encode(prompt, add_special_tokens));
    return ChoiceTokens{std::move(tokens), {}};
  }
  const std::string_view space = SpaceAtEnd(prompt);
  bool joined = false;
  absl::StatusOr<ChoiceTokens> out =
      EncodeBehind(tokenizer, prompt, "", continuations, add_special_tokens, limits.max_bytes, joined);
  if (!joined || space.empty()) return out;
  prompt.remove_suffix(space.size());
  return EncodeBehind(tokenizer, prompt, space, continuations, add_special_tokens, limits.max_bytes, joined);
}

std::vector<std::string> AnswerContinuations(const ChatTemplate& chat_template, std::span<const ChatMessage> messages,
                                             std::string_view rendered, std::span<const std::string> choices,
                                             const RenderOptions& options) {
  std::vector<std::string> out;
  if (choices.empty()) return out;
  const std::string lead = AnswerLead(chat_template, messages, rendered, options);
  for (const std::string& choice : choices) {
    const bool spaced = !choice.empty() && kSpace.find(choice.front()) != std::string_view::npos;
    out.push_back(spaced ? choice : lead + choice);
  }
  return out;
}

}  // namespace gwq
