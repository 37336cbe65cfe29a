#include "core/text/token_bound.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"

namespace gwq {
namespace {

// More than a token has as a rule: most texts that fit are not encoded twice.
constexpr size_t kBytesPerToken = 8;
// What the end of a beginning may have in tokens that the whole text has not: it is cut inside a word.
constexpr int64_t kCutTokens = 64;
constexpr int64_t kMaxBound = int64_t{1} << 32;

// The first `size` bytes or a few less, so that no character is cut.
std::string_view Beginning(std::string_view text, size_t size) {
  const auto continues = [&](size_t at) { return (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80; };
  while (size > 0 && continues(size)) --size;
  return text.substr(0, size);
}

}  // namespace

absl::StatusOr<bool> HasMoreTokens(const Tokenizer& tokenizer, std::string_view text, int64_t max_tokens) {
  if (max_tokens > kMaxBound) return false;
  const int64_t bound = std::max<int64_t>(max_tokens, 0) + kCutTokens;
  for (size_t size = static_cast<size_t>(bound) * kBytesPerToken; size < text.size(); size *= 2) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens,
                         tokenizer.Encode(Beginning(text, size), /*add_special_tokens=*/false));
    if (std::ssize(tokens) > bound) return true;
  }
  return false;
}

absl::Status CheckPromptTokens(const Tokenizer& tokenizer, std::string_view text, std::string_view field,
                               int64_t max_tokens) {
  GWQ_ASSIGN_OR_RETURN(const bool more, HasMoreTokens(tokenizer, text, max_tokens));
  if (!more) return absl::OkStatus();
  return InvalidField(field,
                      fmt::format("has {} bytes and more than {} tokens, the limit; shorten it or load the model "
                                  "with more context",
                                  text.size(), max_tokens));
}

}  // namespace gwq
