// Flags that take several values in one text.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq::client {

// "bits=3,method=rtn" -> {{"bits", "3"}, {"method", "rtn"}}, in order; a value may hold '=' and may be empty.
// INVALID_ARGUMENT at `field` for a part without '=' and for a key that is there twice: "groupSize" is "group_size", as
// the proto's JSON has it.
[[nodiscard]] absl::StatusOr<std::vector<std::pair<std::string, std::string>>> ParseKeyValues(std::string_view field,
                                                                                              std::string_view text);

}  // namespace gwq::client
