#include "core/base/address.h"

#include <fmt/format.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"

namespace gwq {
namespace {

constexpr size_t kMaxToldBytes = 80;

bool IsPort(std::string_view text) {
  uint32_t port = 0;
  return text.find_first_not_of("0123456789") == std::string_view::npos &&
         absl::SimpleAtoi(absl::string_view(text.data(), text.size()), &port) && port >= 1 && port <= 65535;
}

bool IsHost(std::string_view text) {
  const bool readable = std::ranges::all_of(text, [](char byte) { return byte > ' ' && byte <= '~' && byte != '/'; });
  if (text.starts_with('[')) return readable && text.ends_with(']') && text.size() > 2;
  return !text.empty() && readable && text.find(':') == std::string_view::npos;
}

}  // namespace

absl::Status CheckAddress(std::string_view address) {
  for (const std::string_view scheme : {"unix:", "dns:"}) {
    if (address.starts_with(scheme) && address.size() > scheme.size()) return absl::OkStatus();
  }
  const size_t colon = address.rfind(':');
  if (colon != std::string_view::npos && IsHost(address.substr(0, colon)) && IsPort(address.substr(colon + 1))) {
    return absl::OkStatus();
  }
  const std::string_view told = address.substr(0, kMaxToldBytes);
  return absl::InvalidArgumentError(
      fmt::format("'{}' is not an address: give HOST:PORT with a port from 1 to 65535, as 127.0.0.1:7411 or [::1]:7411",
                  absl::CHexEscape(absl::string_view(told.data(), told.size()))));
}

}  // namespace gwq
