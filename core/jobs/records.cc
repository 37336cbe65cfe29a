#include "core/jobs/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr size_t kMaxIdLength = 63;

bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string_view JobStateName(JobState state) {
  constexpr std::string_view kNames[] = {"queued", "running", "succeeded", "failed", "cancelled"};
  return kNames[static_cast<int>(state)];
}

void JobInputs::Add(const std::string& hex, std::vector<Digest>& to) {
  // A field that is no digest was refused when its spec was checked.
  if (const auto digest = Digest::Parse(hex); digest.ok()) to.push_back(*digest);
}

absl::Status CheckResourceId(std::string_view field, std::string_view id) {
  if (id.empty() || id.size() > kMaxIdLength || !std::all_of(id.begin(), id.end(), IsIdCharacter) ||
      !std::isalnum(static_cast<unsigned char>(id.front()))) {
    return InvalidField(
        field, fmt::format("'{}' is not a name: 1 to 63 of a-z, 0-9, '.', '_' and '-', the first a letter or digit",
                           id.substr(0, 80)));
  }
  return absl::OkStatus();
}

}  // namespace gwq
