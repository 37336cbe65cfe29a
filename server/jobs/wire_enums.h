// Enums between the wire and core: those of the wire count from 1, with 0 for "unset"; core's from 0, in the same
// order.
#pragma once

#include <fmt/format.h>

#include <string_view>

#include "absl/status/status.h"
#include "core/base/status.h"

namespace gwq {

// Leaves `out` as it is where `wire` is unset. INVALID_ARGUMENT above `last`, the wire enum's greatest value: a newer
// client may know more values than this service.
template <class Core, class Wire>
[[nodiscard]] absl::Status FromWire(std::string_view field, Wire wire, int last, Core& out) {
  const int value = static_cast<int>(wire);
  if (value == 0) return absl::OkStatus();
  if (value < 0 || value > last) {
    return InvalidField(field, fmt::format("{} is not a value of this version, which knows 1 to {}; use one of them or "
                                           "a newer service",
                                           value, last));
  }
  out = static_cast<Core>(value - 1);
  return absl::OkStatus();
}

template <class Wire, class Core>
[[nodiscard]] Wire ToWire(Core core) {
  return static_cast<Wire>(static_cast<int>(core) + 1);
}

}  // namespace gwq
