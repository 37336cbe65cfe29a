// The one field of EXIF metadata that changes how a picture looks.
#pragma once

#include <cstddef>
#include <span>

namespace gwq {

// The orientation, 1 to 8, of a TIFF structure as EXIF stores it, with or without "Exif\0\0" before it. 1 where it is
// missing, out of range or not readable: metadata never makes a picture unreadable.
[[nodiscard]] int ExifOrientation(std::span<const std::byte> exif);

}  // namespace gwq
