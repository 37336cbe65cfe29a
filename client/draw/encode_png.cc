#include <fmt/format.h>
#include <png.h>

#include "client/draw/draw.h"

namespace gwq {

absl::StatusOr<std::string> EncodePng(const Image& image) {
  if (image.width < 1 || image.height < 1 || image.rgb.size() != size_t{3} * image.width * image.height) {
    return absl::InvalidArgumentError(
        fmt::format("an image of {} x {} pixels with {} bytes", image.width, image.height, image.rgb.size()));
  }
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(image.width);
  header.height = static_cast<png_uint_32>(image.height);
  header.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string file(size, '\0');
  const int written = png_image_write_to_memory(&header, file.data(), &size, 0, image.rgb.data(), 0, nullptr);
  png_image_free(&header);
  if (written == 0) return absl::InternalError(fmt::format("libpng: {}", header.message));
  file.resize(size);
  return file;
}

}  // namespace gwq
