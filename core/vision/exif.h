// The one field of EXIF metadata that changes how an image looks.
#pragma once

#include <cstddef>
#include <span>

namespace gwq {

// The orientation, 1 to 8, of a TIFF structure as EXIF stores it, with or without "Exif\0\0" before it. 1 if it is
// missing, out of range or not readable: metadata never makes an image unreadable.
[[nodiscard]] int ExifOrientation(std::span<const std::byte> exif);

}  // namespace gwq
