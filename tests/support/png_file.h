// PNG files for tests.
#pragma once

#include <png.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace gwq::testing {

struct Rgb {
  uint8_t red, green, blue;
};

// A PNG of this size, 8 bits per channel, with the colour that `at(x, y)` gives. Empty if libpng fails.
inline std::string PngFile(int width, int height, const std::function<Rgb(int, int)>& at) {
  std::vector<uint8_t> pixels;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const Rgb colour = at(x, y);
      pixels.insert(pixels.end(), {colour.red, colour.green, colour.blue});
    }
  }
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  if (png_image_write_to_memory(&image, nullptr, &size, 0, pixels.data(), 0, nullptr) == 0) return "";
  std::string file(size, '\0');
  if (png_image_write_to_memory(&image, file.data(), &size, 0, pixels.data(), 0, nullptr) == 0) return "";
  file.resize(size);
  return file;
}

// Stripes that differ by `seed`.
inline std::string StripedPng(int width, int height, int seed) {
  return PngFile(width, height, [seed](int x, int y) {
    const auto wave = [](int value) { return static_cast<uint8_t>(value * 37 % 256); };
    return Rgb{wave(x + 3 * seed), wave(y * (seed + 1)), wave(x * y + 11 * seed)};
  });
}

}  // namespace gwq::testing
