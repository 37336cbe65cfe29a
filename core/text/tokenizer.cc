#include "core/text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "core/base/status.h"
#include "core/text/rust_call.h"

namespace gwq {

using text_internal::CallRust;
using text_internal::TakeText;

namespace {

// Ids are int32_t, and a prompt counts image rows below zero.
constexpr uint32_t kMaxIds = std::numeric_limits<int32_t>::max();

}  // namespace

Tokenizer::Tokenizer(GwqTokenizer* handle, const TokenizerLimits& limits)
    : handle_(handle), limits_(limits), vocab_size_(static_cast<int32_t>(gwq_tokenizer_id_limit(handle))) {}

Tokenizer::~Tokenizer() { gwq_tokenizer_free(handle_); }

absl::StatusOr<std::unique_ptr<const Tokenizer>> Tokenizer::Load(std::string_view json, const TokenizerLimits& limits) {
  if (json.size() > limits.max_json_bytes) {
    return InvalidField("tokenizer.json",
                        fmt::format("has {} bytes, the limit is {}", json.size(), limits.max_json_bytes));
  }
  auto handle = CallRust<GwqTokenizer*>("tokenizer.json", [&](GwqTokenizer** out, GwqText* error) {
    return gwq_tokenizer_load(json.data(), json.size(), out, error);
  });
  // A panic while reading comes from the file too.
  if (absl::IsInternal(handle.status())) return InvalidField("tokenizer.json", std::string(handle.status().message()));
  if (!handle.ok()) return handle.status();
  const uint32_t ids = gwq_tokenizer_id_limit(*handle);
  if (ids > kMaxIds) {
    gwq_tokenizer_free(*handle);
    return InvalidField(
        "tokenizer.json",
        fmt::format("has a token id of at least {}, the limit is {}; number the tokens from 0", ids - 1, kMaxIds - 1));
  }
  return std::unique_ptr<const Tokenizer>(new Tokenizer(*handle, limits));
}

absl::StatusOr<std::vector<int32_t>> Tokenizer::Encode(std::string_view text, bool add_special_tokens) const {
  if (text.size() > limits_.max_text_bytes) {
    return InvalidField(
        "text", fmt::format("has {} bytes, the limit is {}: encode it in pieces", text.size(), limits_.max_text_bytes));
  }
  GWQ_ASSIGN_OR_RETURN(const GwqIds ids, CallRust<GwqIds>("text", [&](GwqIds* out, GwqText* error) {
                         return gwq_tokenizer_encode(handle_, text.data(), text.size(), add_special_tokens, out, error);
                       }));
  std::vector<int32_t> out(ids.data, ids.data + ids.size);
  gwq_ids_free(ids);
  return out;
}

absl::StatusOr<std::string> Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  if (ids.size() > limits_.max_decode_ids) {
    return InvalidField("ids", fmt::format("has {} ids, the limit is {}", ids.size(), limits_.max_decode_ids));
  }
  const auto negative = std::find_if(ids.begin(), ids.end(), [](int32_t id) { return id < 0; });
  if (negative != ids.end()) {
    return InvalidField(fmt::format("ids[{}]", negative - ids.begin()),
                        fmt::format("is {}; ids count from 0 to {}", *negative, vocab_size_ - 1));
  }
  const std::vector<uint32_t> values(ids.begin(), ids.end());
  GWQ_ASSIGN_OR_RETURN(const GwqText text, CallRust<GwqText>("ids", [&](GwqText* out, GwqText* error) {
                         return gwq_tokenizer_decode(handle_, values.data(), values.size(), skip_special_tokens, out,
                                                     error);
                       }));
  return TakeText(text);
}

std::optional<int32_t> Tokenizer::TokenToId(std::string_view token) const {
  const int64_t id = gwq_tokenizer_token_to_id(handle_, token.data(), token.size());
  if (id < 0 || id > std::numeric_limits<int32_t>::max()) return std::nullopt;
  return static_cast<int32_t>(id);
}

std::optional<std::string> Tokenizer::IdToToken(int32_t id) const {
  GwqText text{};
  if (id < 0 || gwq_tokenizer_id_to_token(handle_, static_cast<uint32_t>(id), &text) == 0) return std::nullopt;
  return TakeText(text);
}

bool Tokenizer::IsSpecial(int32_t id) const {
  return id >= 0 && gwq_tokenizer_is_special(handle_, static_cast<uint32_t>(id)) != 0;
}

}  // namespace gwq
