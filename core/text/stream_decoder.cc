#include "core/text/stream_decoder.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/status.h"
#include "core/text/rust_call.h"

namespace gwq {

using text_internal::CallRust;
using text_internal::TakeText;

absl::StatusOr<StreamDecoder> StreamDecoder::Create(const Tokenizer& tokenizer, bool skip_special_tokens) {
  GWQ_ASSIGN_OR_RETURN(GwqStream* const handle, CallRust<GwqStream*>("ids", [&](GwqStream** out, GwqText* error) {
                         return gwq_stream_new(tokenizer.handle_, skip_special_tokens, out, error);
                       }));
  return StreamDecoder(handle);
}

StreamDecoder::StreamDecoder(StreamDecoder&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

StreamDecoder& StreamDecoder::operator=(StreamDecoder&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

StreamDecoder::~StreamDecoder() {
  if (handle_ != nullptr) gwq_stream_free(handle_);
}

absl::StatusOr<std::string> StreamDecoder::Push(int32_t id) {
  if (id < 0) return InvalidField("id", fmt::format("is {}; ids count from 0", id));
  GWQ_ASSIGN_OR_RETURN(const GwqText text, CallRust<GwqText>("id", [&](GwqText* out, GwqText* error) {
                         return gwq_stream_push(handle_, static_cast<uint32_t>(id), out, error);
                       }));
  return TakeText(text);
}

absl::StatusOr<std::string> StreamDecoder::Flush() {
  GWQ_ASSIGN_OR_RETURN(const GwqText text, CallRust<GwqText>("ids", [&](GwqText* out, GwqText* error) {
                         return gwq_stream_flush(handle_, out, error);
                       }));
  return TakeText(text);
}

}  // namespace gwq
