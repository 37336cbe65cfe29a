// What gRPC can call.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace gwq {

// INVALID_ARGUMENT where `address` is no HOST:PORT ([HOST]:PORT for IPv6), and no unix:PATH or dns:NAME, which gRPC
// takes as well. Port 0 is refused: it means any free one to who listens, and nothing to who calls. The message is
// ASCII whatever the address holds.
[[nodiscard]] absl::Status CheckAddress(std::string_view address);

}  // namespace gwq
