// Decodes images from outside. The bytes may be anything: a file that cannot be decoded completely is refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace gwq {

// 8 bits per channel, row after row, red, green and blue of a pixel side by side.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> rgb;  // [height, width, 3]

  // `y` in [0, height).
  [[nodiscard]] const uint8_t* Row(int y) const { return rgb.data() + size_t{3} * width * y; }
  [[nodiscard]] uint8_t* Row(int y) { return rgb.data() + size_t{3} * width * y; }
};

// Checked against the header of a file, before anything of the image's size is allocated.
struct ImageLimits {
  size_t max_bytes = size_t{32} << 20;  // of one file
  int64_t max_pixels = int64_t{1} << 26;
  int max_side = 16384;
  int max_images = 16;  // in one prompt; DecodeImage, which sees one, leaves it to its caller
};

enum class ImageFormat { kJpeg, kPng, kWebp };
[[nodiscard]] std::string_view ImageFormatName(ImageFormat format);  // "JPEG", "PNG", "WebP"

// The content of a file's header.
struct ImageHeader {
  ImageFormat format = ImageFormat::kPng;
  int width = 0;  // as decoded, the EXIF orientation applied
  int height = 0;
  int orientation = 1;  // EXIF's, 1 to 8
};

// Reads and checks the header alone; allocates nothing of the image's size. The errors are DecodeImage's.
[[nodiscard]] absl::StatusOr<ImageHeader> ReadImageHeader(std::span<const std::byte> file,
                                                          const ImageLimits& limits = {});

// The pixels of a JPEG, PNG or WebP file, as Hugging Face's load_image reads it with Pillow: EXIF orientation applied;
// CMYK and YCCK taken as Adobe stores them (inverted); palettes looked up; an alpha channel or a transparent colour
// dropped, not composed; colour profiles and gamma ignored. Of 16 bits per channel the upper 8 stay, for grey too,
// which Pillow clips at 255. INVALID_ARGUMENT with the reason for a file that is empty, of another format, animated,
// over a limit, broken, or cut short anywhere before its end mark: a partly decoded image is never returned. Memory:
// one image, and a few rows of the libraries; for lossless WebP libwebp's image of 4 bytes per pixel, then ours. What
// else the libraries hold whole (coefficients of JPEG in several scans; the rows of lossless WebP) is ScratchMemory,
// whose errors are returned: a temporary file of up to 8 bytes per pixel for images over half a megapixel. Thread-safe.
[[nodiscard]] absl::StatusOr<Image> DecodeImage(std::span<const std::byte> file, const ImageLimits& limits = {});

}  // namespace gwq
