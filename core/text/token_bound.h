// Refuses texts with too many tokens without encoding all of them.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/text/tokenizer.h"

namespace gwq {

// True if `text` certainly has more than `max_tokens` tokens; false may be wrong by a few dozen tokens. Encodes
// beginnings of the text that double in length, so that a text of megabytes costs no more than one of about
// `max_tokens` tokens: encoding takes a second and a hundred megabytes per megabyte. The errors of Tokenizer::Encode.
[[nodiscard]] absl::StatusOr<bool> HasMoreTokens(const Tokenizer& tokenizer, std::string_view text, int64_t max_tokens);
// INVALID_ARGUMENT at `field` if HasMoreTokens is true.
[[nodiscard]] absl::Status CheckPromptTokens(const Tokenizer& tokenizer, std::string_view text, std::string_view field,
                                             int64_t max_tokens);

}  // namespace gwq
