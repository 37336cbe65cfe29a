// A choice is what a model could write as text: serving and evaluation take nothing else for one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/text/tokenizer.h"

namespace gwq {

// Those of `tokens`, the encoding of `text`, that the text names and that are none: special tokens, and `image_token`,
// which stands for rows of an image (-1: none). A special token that no name made, for a word that the tokenizer does
// not know, is not among them.
[[nodiscard]] std::vector<int32_t> NamedTokens(const Tokenizer& tokenizer, std::string_view text,
                                               std::span<const int32_t> tokens, int32_t image_token);

// INVALID_ARGUMENT at `field`, naming the first of `named`, where a choice has any.
[[nodiscard]] absl::Status CheckNoneNamed(const Tokenizer& tokenizer, std::span<const int32_t> named,
                                          const std::string& field);

}  // namespace gwq
