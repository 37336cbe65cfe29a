// A rectangle on an image.
#pragma once

namespace gwq {

// Pixels of the original image, edges and not pixel centres; right and bottom are exclusive.
struct PixelRect {
  double left = 0;
  double top = 0;
  double right = 0;
  double bottom = 0;
};

}  // namespace gwq
