// Writes the tokenizer that a GGUF file describes in its metadata as the files of a Hugging Face directory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gwq {

// The metadata under tokenizer.*, as read; a key that is absent leaves its member empty.
struct GgufTokenizer {
  std::string model;  // tokenizer.ggml.model: "gpt2" (byte-level BPE) or "llama" (SentencePiece BPE)
  std::string pre;    // tokenizer.ggml.pre
  std::vector<std::string> tokens;
  std::vector<int32_t> token_types;  // llama.cpp's: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte
  std::vector<float> scores;         // "llama" only
  std::vector<std::string> merges;   // "gpt2" only: "left right", best first
  std::optional<int64_t> bos_id, eos_id, eot_id, unk_id, pad_id;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
  std::string chat_template;  // tokenizer.chat_template
};

// tokenizer.json, tokenizer_config.json and generation_config.json, by name. The tokenizer splits and merges text as
// llama.cpp does with this metadata (its src/llama-vocab.cpp is the only definition of the names in `pre`); two
// differences are deliberate: names of control tokens inside text always become tokens, and where those overlap the
// leftmost wins. Sizes are those of the metadata. INVALID_ARGUMENT on the metadata key at fault, for an unknown `model`
// or `pre` with the list of known; a token has at most 1,024 bytes.
[[nodiscard]] absl::StatusOr<std::map<std::string, std::string>> BuildTokenizerFiles(const GgufTokenizer& metadata);

}  // namespace gwq
