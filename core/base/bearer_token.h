// What a caller shows to be known by: the TOKEN of the header "authorization: Bearer TOKEN".
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace gwq {

// INVALID_ARGUMENT where a byte of the token is not printable ASCII, which no header may carry (gRPC ends a process
// that tries), or a blank, which no file of tokens can hold. It is told where, and nothing of the token. An empty one
// is fine.
[[nodiscard]] absl::Status CheckBearerToken(std::string_view token);

}  // namespace gwq
