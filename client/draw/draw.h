// Boxes and labels painted on an image, and the image as a PNG file.
#pragma once

#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "core/vision/boxes.h"
#include "core/vision/image.h"

namespace gwq {

// Frames each box in a colour of its own (by order, repeating) and writes its label on a plate at the frame's upper
// left corner; line and letters grow with the image. Characters outside printable ASCII are left out of a label.
// Parts that fall outside the image are not painted.
void DrawBoxes(std::span<const LabelledBox> boxes, Image& image);

// 8 bits per channel, RGB. INTERNAL if libpng fails, INVALID_ARGUMENT for an image without pixels.
[[nodiscard]] absl::StatusOr<std::string> EncodePng(const Image& image);

}  // namespace gwq
