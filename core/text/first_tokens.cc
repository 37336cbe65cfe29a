#include "core/text/first_tokens.h"

#include <algorithm>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr int64_t kBytesPerToken = 64;
constexpr int64_t kMinBytes = 4096;
// More than a token has as a rule: the first beginning is mostly the last one.
constexpr size_t kUsualBytes = 8;
// What the end of a beginning may have in tokens that the whole text has not: it is cut inside a word.
constexpr int64_t kCutTokens = 64;

}  // namespace

std::string_view CutUtf8(std::string_view text, size_t bytes) {
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  return text.substr(0, bytes);
}

size_t BytesForTokens(int64_t tokens) { return static_cast<size_t>(std::max(kMinBytes, tokens * kBytesPerToken)); }

size_t EncodedBytes(size_t text_bytes, int64_t tokens) {
  return std::min({text_bytes, BytesForTokens(tokens), TokenizerLimits{}.max_text_bytes});
}

absl::StatusOr<std::vector<int32_t>> FirstTokens(const Tokenizer& tokenizer, std::string_view text, int64_t count) {
  const size_t most = EncodedBytes(text.size(), count);
  std::vector<int32_t> tokens;
  for (size_t size = static_cast<size_t>(count + kCutTokens) * kUsualBytes;; size *= 2) {
    const std::string_view beginning = CutUtf8(text, std::min(size, most));
    GWQ_ASSIGN_OR_RETURN(tokens, tokenizer.Encode(beginning, /*add_special_tokens=*/false));
    if (size >= most || std::ssize(tokens) >= count + kCutTokens) break;
  }
  if (static_cast<int64_t>(tokens.size()) > count) tokens.resize(static_cast<size_t>(count));
  // What was encoded beyond `count` may be much larger, and many samples are held at a time.
  tokens.shrink_to_fit();
  return tokens;
}

}  // namespace gwq
