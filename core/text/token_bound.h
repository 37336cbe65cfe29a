// Refuses texts with too many tokens without encoding all of them.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/text/tokenizer.h"

namespace gwq {

// Whether `text` has more than `max_tokens` tokens for certain; false may be wrong by a few dozen. Encodes beginnings
// of it that double in length, so that a text of megabytes costs what a text of about `max_tokens` tokens does:
// encoding takes a second and a hundred megabytes for each. The errors of Tokenizer::Encode.
[[nodiscard]] absl::StatusOr<bool> HasMoreTokens(const Tokenizer& tokenizer, std::string_view text, int64_t max_tokens);
// INVALID_ARGUMENT on `field` where it has.
[[nodiscard]] absl::Status CheckPromptTokens(const Tokenizer& tokenizer, std::string_view text, std::string_view field,
                                             int64_t max_tokens);

}  // namespace gwq
