// The tokens of texts that may follow a prompt. The one rule for it: serving and evaluation score choices alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"

namespace gwq {

struct EncodeLimits {
  size_t max_bytes = size_t{16} << 20;  // of the texts to encode for continuations: a few seconds at most
  int64_t max_prompt_tokens = std::numeric_limits<int64_t>::max();
};

struct ChoiceTokens {
  std::vector<int32_t> prompt;
  std::vector<std::vector<int32_t>> choices;  // by continuation; each of at least one token
};

// A continuation's tokens are those of prompt and continuation encoded as one text, after as many as the prompt alone
// has. That is what the model would write there, and what lm-evaluation-harness 0.4 does (lm_eval/api/model.py,
// _encode_pair). The prompt's tokens are those of its text alone, with one exception: if the tokenizer joins white
// space at the prompt's end with the following text, that white space begins every continuation instead, as in the
// harness. `add_special_tokens` as in Tokenizer::Encode. INVALID_ARGUMENT at "choices[i]" for a continuation without a
// token, at "choices" if the texts to encode have more than `max_bytes` (the end of the prompt, from its last special
// token on, counts once per continuation), and at "messages" if the prompt has more tokens than its limit by
// HasMoreTokens. Also the errors of Tokenizer::Encode.
[[nodiscard]] absl::StatusOr<ChoiceTokens> EncodeChoices(const Tokenizer& tokenizer, std::string_view prompt,
                                                         std::span<const std::string> continuations,
                                                         bool add_special_tokens, const EncodeLimits& limits = {});

// The texts that an assistant may answer with, as continuations of `rendered`, which is `messages` with the head of the
// answer. Between head and answer is the white space that the template writes there: a space after "Assistant:",
// nothing after a line break. It is found by rendering the conversation with an answer. If that does not begin like
// `rendered`, it is a space, unless `rendered` ends in white space. A choice that begins with white space is taken as
// it is.
[[nodiscard]] std::vector<std::string> AnswerContinuations(const ChatTemplate& chat_template,
                                                           std::span<const ChatMessage> messages,
                                                           std::string_view rendered,
                                                           std::span<const std::string> choices,
                                                           const RenderOptions& options);

}  // namespace gwq
