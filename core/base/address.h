// Addresses of gRPC services.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace gwq {

// INVALID_ARGUMENT if `address` is not HOST:PORT ([HOST]:PORT for IPv6), unix:PATH or dns:NAME, the forms that gRPC
// accepts. Port 0 is refused: a server can listen on it to get a free port, but a client cannot call it. The message is
// ASCII even if the address is not.
[[nodiscard]] absl::Status CheckAddress(std::string_view address);

}  // namespace gwq
