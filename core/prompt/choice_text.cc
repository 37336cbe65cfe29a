#include "core/prompt/choice_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "core/base/status.h"

namespace gwq {

std::vector<int32_t> NamedTokens(const Tokenizer& tokenizer, std::string_view text, std::span<const int32_t> tokens,
                                 int32_t image_token) {
  std::vector<int32_t> named;
  std::ranges::copy_if(tokens, std::back_inserter(named), [&](int32_t token) {
    if (token != image_token && !tokenizer.IsSpecial(token)) return false;
    return text.find(tokenizer.IdToToken(token).value_or("")) != std::string_view::npos;
  });
  return named;
}

absl::Status CheckNoneNamed(const Tokenizer& tokenizer, std::span<const int32_t> named, const std::string& field) {
  if (named.empty()) return absl::OkStatus();
  return InvalidField(field, fmt::format("holds '{}', a special token and no text of an answer; leave it out",
                                         tokenizer.IdToToken(named.front()).value_or("")));
}

}  // namespace gwq
