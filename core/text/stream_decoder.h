// Turns token ids that arrive one at a time into text that is complete at every point.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/text/tokenizer.h"

struct GwqStream;

namespace gwq {

// The pieces that Push and Flush return, joined, equal Tokenizer::Decode of all ids, and every piece is valid UTF-8:
// bytes of a character are held back until it is whole. In vocabularies with byte tokens (<0x0A>) a run of those is
// held back until it is over. One thread at a time. The decoder may outlive its tokenizer.
class StreamDecoder {
 public:
  [[nodiscard]] static absl::StatusOr<StreamDecoder> Create(const Tokenizer& tokenizer, bool skip_special_tokens);
  StreamDecoder(StreamDecoder&& other) noexcept;
  StreamDecoder& operator=(StreamDecoder&& other) noexcept;
  ~StreamDecoder();

  // The text that has become certain with `id`, often empty. An id below zero is INVALID_ARGUMENT; one that names no
  // token adds nothing.
  [[nodiscard]] absl::StatusOr<std::string> Push(int32_t id);
  // What is still held back; called once, after the last Push.
  [[nodiscard]] absl::StatusOr<std::string> Flush();

 private:
  explicit StreamDecoder(GwqStream* handle) : handle_(handle) {}

  GwqStream* handle_;  // owned; null only when moved from
};

}  // namespace gwq
