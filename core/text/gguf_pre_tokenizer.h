// The pre-tokenizers that tokenizer.ggml.pre names, as Hugging Face pre-tokenizers.
#pragma once

#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"

namespace gwq {

struct GgufPreTokenizer {
  nlohmann::json pre_tokenizer;  // the value of "pre_tokenizer" in tokenizer.json
  bool ignore_merges = false;    // a piece that is a token stays whole, whatever the merges say
  bool add_bos = false;          // where the metadata does not say
};

// INVALID_ARGUMENT on tokenizer.ggml.pre with the list of known names. The empty name is "default".
[[nodiscard]] absl::StatusOr<GgufPreTokenizer> FindGgufPreTokenizer(std::string_view name);

// Names that stand for every way to cut text once, the most frequent first.
[[nodiscard]] std::span<const std::string_view> DistinctGgufPreTokenizers();

}  // namespace gwq
