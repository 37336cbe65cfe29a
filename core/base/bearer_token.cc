#include "core/base/bearer_token.h"

#include <fmt/format.h>

#include <algorithm>

namespace gwq {
namespace {

std::string_view KindOf(char byte) {
  if (byte == ' ') return "a blank";
  return static_cast<unsigned char>(byte) < 0x80 ? "a control character" : "not ASCII";
}

}  // namespace

absl::Status CheckBearerToken(std::string_view token) {
  const auto wrong = std::ranges::find_if(token, [](char byte) { return byte <= ' ' || byte > '~'; });
  if (wrong == token.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      fmt::format("byte {} of {} of the bearer token is {}: a token is printable ASCII without blanks; take it anew, "
                  "without a line's end",
                  wrong - token.begin() + 1, token.size(), KindOf(*wrong)));
}

}  // namespace gwq
