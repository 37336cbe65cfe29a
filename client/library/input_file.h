// Files that the user gives to be read whole.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace gwq::client {

// The errors of ReadSmallFile, but INVALID_ARGUMENT for a file above `limit` bytes: to try again does not help.
[[nodiscard]] absl::StatusOr<std::string> ReadInputFile(const std::string& path, uint64_t limit);

}  // namespace gwq::client
