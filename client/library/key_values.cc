#include "client/library/key_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <set>

#include "core/base/status.h"

namespace gwq::client {
namespace {

// Equal for both spellings of one field.
std::string Spelling(std::string_view key) {
  std::string out(key);
  std::erase(out, '_');
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

}  // namespace

absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseKeyValues(std::string_view field,
                                                                                std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  std::set<std::string> keys;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string_view pair = text.substr(at, end - at);
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) {
      return InvalidField(field, fmt::format("'{}' is not key=value; write key=value[,key=value...]", pair));
    }
    const std::string_view key = pair.substr(0, equals);
    if (key.empty()) return InvalidField(field, fmt::format("'{}' has no key before '='", pair));
    if (!keys.insert(Spelling(key)).second) {
      return InvalidField(field, fmt::format("'{}' is given twice in '{}': leave one of them out", key, text));
    }
    out.emplace_back(key, pair.substr(equals + 1));
    at = end + 1;
  }
  return out;
}

}  // namespace gwq::client
