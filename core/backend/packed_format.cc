#include "core/backend/packed_format.h"

#include <fmt/format.h>

namespace gwq {

absl::Status UnsupportedFormat(std::string_view backend, const Format& format) {
  return absl::UnimplementedError(fmt::format(
      "the {} backend does not run matrices stored as {}; quantize the model again in a format that it runs", backend,
      FormatName(format)));
}

}  // namespace gwq
