#include "core/text/first_tokens.h"

#include <algorithm>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr int64_t kBytesPerToken = 64;
constexpr int64_t kMinBytes = 4096;

}  // namespace

std::string_view CutUtf8(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

size_t BytesForTokens(int64_t tokens) { return static_cast<size_t>(std::max(kMinBytes, tokens * kBytesPerToken)); }

absl::StatusOr<std::vector<int32_t>> FirstTokens(const Tokenizer& tokenizer, std::string_view text, int64_t count) {
  GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens,
                       tokenizer.Encode(CutUtf8(text, BytesForTokens(count)), /*add_special_tokens=*/false));
  if (static_cast<int64_t>(tokens.size()) > count) tokens.resize(static_cast<size_t>(count));
  // What was encoded beyond `count` may be much larger, and many samples are held at a time.
  tokens.shrink_to_fit();
  return tokens;
}

}  // namespace gwq
