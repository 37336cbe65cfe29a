// A Hugging Face tokenizer: text to token ids and back, exactly as the Python package `tokenizers` does it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct GwqTokenizer;

namespace gwq {

struct TokenizerLimits {
  size_t max_json_bytes = size_t{64} << 20;  // of a tokenizer.json; the largest published ones have about 35 MiB
  // Of one text. Encoding needs up to about 60 bytes of memory per byte of text, so encode longer texts in pieces.
  size_t max_text_bytes = size_t{8} << 20;
  size_t max_decode_ids = size_t{4} << 20;
};

// Immutable after Load; every method may be called from several threads at once.
class Tokenizer {
 public:
  // Reads the bytes of a tokenizer.json. INVALID_ARGUMENT (field tokenizer.json) if it is malformed or too large, or
  // an id is above 2^31 - 2.
  // Truncation and padding that the file may ask for are ignored: they belong to training.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const Tokenizer>> Load(std::string_view json,
                                                                             const TokenizerLimits& limits = {});
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  // `text` is UTF-8. Names of special tokens inside it become those tokens, as in Hugging Face. `add_special_tokens`
  // runs the post-processor (which adds a BOS if the model wants one); a rendered chat template already contains what
  // it needs.
  [[nodiscard]] absl::StatusOr<std::vector<int32_t>> Encode(std::string_view text, bool add_special_tokens) const;

  // Always valid UTF-8: bytes that form no character become U+FFFD. Ids from 0 on that name no token contribute nothing
  // (models have padded vocabularies); a negative id is INVALID_ARGUMENT. Equals transformers' decode with
  // clean_up_tokenization_spaces=False, so that text comes back as it was encoded.
  [[nodiscard]] absl::StatusOr<std::string> Decode(std::span<const int32_t> ids, bool skip_special_tokens) const;

  [[nodiscard]] std::optional<int32_t> TokenToId(std::string_view token) const;
  // The token as the vocabulary writes it (a space may be Ġ or ▁).
  [[nodiscard]] std::optional<std::string> IdToToken(int32_t id) const;
  // Whether decoding with skip_special_tokens leaves the token out.
  [[nodiscard]] bool IsSpecial(int32_t id) const;
  // One more than the largest id, added tokens included.
  [[nodiscard]] int32_t vocab_size() const { return vocab_size_; }

 private:
  friend class StreamDecoder;
  Tokenizer(GwqTokenizer* handle, const TokenizerLimits& limits);

  GwqTokenizer* const handle_;  // owned
  const TokenizerLimits limits_;
  const int32_t vocab_size_;
};

}  // namespace gwq
