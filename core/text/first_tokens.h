// The beginning of a text as tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/text/tokenizer.h"

namespace gwq {

// The first `count` tokens of `text`, without special tokens. Encoding needs much memory per byte, so only a
// beginning of a long text is encoded, one that is long enough for `count` tokens of 64 bytes.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> FirstTokens(const Tokenizer& tokenizer, std::string_view text,
                                                               int64_t count);

// The number of bytes of a text that FirstTokens encodes for `count` tokens.
[[nodiscard]] size_t BytesForTokens(int64_t count);
// `text` cut to at most `bytes`, not inside a character.
[[nodiscard]] std::string_view CutUtf8(std::string_view text, size_t bytes);

}  // namespace gwq
