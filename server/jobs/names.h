// Resource names: "models/{id}", "artifacts/{id}", "jobs/{id}", "operations/{id}", "uploads/{id}".
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "google/protobuf/timestamp.pb.h"

namespace gwq {

// The id behind "collection/"; InvalidField(field) where the name is of another form.
[[nodiscard]] absl::StatusOr<std::string> IdOf(std::string_view field, std::string_view collection,
                                               std::string_view name);
// 0 becomes `preset`; negative is INVALID_ARGUMENT; more than `most` is cut to it.
[[nodiscard]] absl::StatusOr<int> PageSize(int asked, int preset, int most);

void SetTimestamp(int64_t wall_millis, google::protobuf::Timestamp& to);

}  // namespace gwq
