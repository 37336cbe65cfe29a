// Resizing with antialiasing, byte for byte what Pillow's Image.resize gives for RGB images.
#pragma once

#include <cstdint>
#include <functional>

#include "core/vision/image.h"

namespace gwq {

// Named and numbered as Pillow's Image.Resampling, which is what `resample` of a preprocessor_config.json holds.
enum class Resample { kLanczos = 1, kBilinear = 2, kBicubic = 3, kBox = 4, kHamming = 5 };

// Where the pixels to resize come from: `row(y)`, y in [0, height), returns 3 * width bytes that stay valid until the
// next call. Rows may be asked for in any order and several times.
struct RowSource {
  int width = 0;
  int height = 0;
  std::function<const uint8_t*(int y)> row;
};
[[nodiscard]] RowSource RowsOf(const Image& image);  // `image` outlives the result

// The rectangle of the resized image that is wanted.
struct ResizeWindow {
  int64_t left = 0;
  int64_t top = 0;
  int width = 0;
  int height = 0;
};

// Resizes `source` to `width` x `height` and hands the rows of `window`, which lies inside that, to `put(y, row)` from
// the top, y counted within the window and row being 3 * window.width bytes valid during the call. Beside the source it
// holds a few rows: those under one filter, of the window's width, about 2 * support * max(1, source.height / height)
// of them, or one of the source's width. All sizes are at least 1; width and height may be as large as 2^31. Equal to
// Pillow 13; older ones always resize the width first, which changes single values by up to 13 of 255.
void ResizeRows(const RowSource& source, int64_t width, int64_t height, const ResizeWindow& window, Resample filter,
                const std::function<void(int y, const uint8_t* row)>& put);

// The whole of it as an image.
[[nodiscard]] Image Resize(const Image& image, int width, int height, Resample filter);

}  // namespace gwq
