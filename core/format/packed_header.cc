#include "core/format/packed_header.h"

#include <fmt/format.h>

namespace gwq {

absl::Status BrokenMatrix(std::string_view what) { return absl::DataLossError(fmt::format("packed matrix: {}", what)); }

}  // namespace gwq
