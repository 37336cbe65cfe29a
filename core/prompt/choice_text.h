// Checks that a choice is text that a model could write. Serving and evaluation accept nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/text/tokenizer.h"

namespace gwq {

// Those of `tokens`, the encoding of `text`, that are not text and that the text names: special tokens, and
// `image_token`, which stands for rows of an image (-1: none). A special token that the tokenizer uses for an unknown
// word is not among them.
[[nodiscard]] std::vector<int32_t> NamedTokens(const Tokenizer& tokenizer, std::string_view text,
                                               std::span<const int32_t> tokens, int32_t image_token);

// INVALID_ARGUMENT at `field`, naming the first of `named`, if a choice has any.
[[nodiscard]] absl::Status CheckNoneNamed(const Tokenizer& tokenizer, std::span<const int32_t> named,
                                          const std::string& field);

}  // namespace gwq
