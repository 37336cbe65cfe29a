// The tokenizer of a Hugging Face directory as a GGUF file describes it: the way back of gguf_tokenizer.h.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "core/text/gguf_tokenizer.h"

namespace gwq {

struct DescribedTokenizer {
  GgufTokenizer tokenizer;
  std::string difference;  // a sentence on what llama.cpp does otherwise with it; empty: nothing is known
};

// `files` as ModelText::Load takes them. `vocab_size`: rows of the embedding table; the tokens are filled up to it with
// unused ones.
// - a byte-level BPE becomes model "gpt2"; its pre-tokenizer is the known one that cuts probe texts into
//   as many pieces as tokenizer.json does (llama.cpp knows pre-tokenizers by name alone)
// - a BPE with byte fallback becomes model "llama"; the scores say the order of its merges
// In both cases the tokenizer that BuildTokenizerFiles makes of the description gives the probe texts the same tokens,
// but for those that begin with a blank where `difference` tells of them.
// INVALID_ARGUMENT at "tokenizer.json" for another kind of tokenizer, one that no known name describes, or one with
// more tokens than `vocab_size`; the errors of ModelText::Load.
[[nodiscard]] absl::StatusOr<DescribedTokenizer> DescribeTokenizer(const std::map<std::string, std::string>& files,
                                                                   int64_t vocab_size);

}  // namespace gwq
