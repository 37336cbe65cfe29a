#include "server/jobs/names.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/jobs/specs.h"

namespace gwq {
absl::StatusOr<std::string> IdOf(std::string_view field, std::string_view collection, std::string_view name) {
  const std::string prefix = std::string(collection) + "/";
  if (!name.starts_with(prefix)) {
    return InvalidField(field, fmt::format("'{}' is no name of the form {}ID", name.substr(0, 100), prefix));
  }
  GWQ_RETURN_IF_ERROR(CheckResourceId(field, name.substr(prefix.size())));
  return std::string(name.substr(prefix.size()));
}

absl::StatusOr<int> PageSize(int asked, int preset, int most) {
  if (asked < 0) return InvalidField("page_size", fmt::format("{} is negative; 0 means {}", asked, preset));
  return asked == 0 ? preset : std::min(asked, most);
}

void SetTimestamp(int64_t wall_millis, google::protobuf::Timestamp& to) {
  to.set_seconds(wall_millis / 1000);
  to.set_nanos(static_cast<int32_t>(wall_millis % 1000) * 1'000'000);
}

}  // namespace gwq
