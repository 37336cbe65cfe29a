// What every backend says of a stored format that it does not run.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "core/format/format.h"

namespace gwq {

// UNIMPLEMENTED naming both.
[[nodiscard]] absl::Status UnsupportedFormat(std::string_view backend, const Format& format);

}  // namespace gwq
