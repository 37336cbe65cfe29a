// Fills GgufTokenizer from the header of a GGUF file.
#pragma once

#include "absl/status/statusor.h"
#include "core/io/gguf.h"
#include "core/text/gguf_tokenizer.h"

namespace gwq {

// Copies what the header has under tokenizer.*; INVALID_ARGUMENT on a key of another type than the format gives it.
[[nodiscard]] absl::StatusOr<GgufTokenizer> ReadGgufTokenizer(const GgufHeader& header);

}  // namespace gwq
