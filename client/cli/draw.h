// Boxes painted on the image that was asked about.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "gwq/v1/inference.pb.h"

namespace gwq::cli {

// Decodes `file` (JPEG, PNG or WebP), paints the boxes with their labels and writes `out`, a PNG. INVALID_ARGUMENT
// if the file is empty, as for an image that was named by its digest.
[[nodiscard]] absl::Status DrawResult(const v1::BoxResult& boxes, std::string_view file, const std::string& out);

}  // namespace gwq::cli
