// The beginning of a text as tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/text/tokenizer.h"

namespace gwq {

// The first `count` tokens of `text`, without special tokens. Encoding needs much memory per byte, so beginnings of the
// text are encoded that double in length until one has enough tokens. The longest is EncodedBytes long: fewer tokens
// are returned if that much text has fewer.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> FirstTokens(const Tokenizer& tokenizer, std::string_view text,
                                                               int64_t count);

// The number of bytes of a text that are enough for `count` tokens: 64 of each, 4096 at least.
[[nodiscard]] size_t BytesForTokens(int64_t count);
// The most bytes of a text that FirstTokens encodes at a time: BytesForTokens, and no more than a tokenizer takes
// (TokenizerLimits::max_text_bytes).
[[nodiscard]] size_t EncodedBytes(size_t text_bytes, int64_t tokens);
// `text` cut to at most `bytes`, not inside a character.
[[nodiscard]] std::string_view CutUtf8(std::string_view text, size_t bytes);

}  // namespace gwq
