// Bearer tokens, which identify callers: the TOKEN of the header "authorization: Bearer TOKEN".
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace gwq {

// INVALID_ARGUMENT if the token has a byte that is not printable ASCII, because gRPC ends a process that puts it into a
// header, or a space, because a file of tokens cannot hold it. The message names the position and shows nothing of the
// token. An empty token is accepted.
[[nodiscard]] absl::Status CheckBearerToken(std::string_view token);

}  // namespace gwq
