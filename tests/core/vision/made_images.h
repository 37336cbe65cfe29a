// Files made for a test: whole ones by the libraries' own encoders, and PNG files chunk by chunk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/vision/image.h"

namespace gwq::testing {

[[nodiscard]] Image MakeScene(int width, int height);  // a gradient with texture

enum class JpegKind {
  kBaseline,
  kProgressive,
  kSeparate,   // each colour component in a scan of its own
  kManyScans,  // each coefficient of each component in a scan of its own: 190
};
[[nodiscard]] std::string EncodeJpeg(const Image& image, JpegKind kind);  // 4:4:4
[[nodiscard]] std::string EncodeInterlacedPng(const Image& image);
enum class WebpKind { kLossy, kLossyWithAlpha, kLossless };
[[nodiscard]] std::string EncodeWebp(const Image& image, WebpKind kind);

// `jpeg` with an EXIF segment that says so.
enum class ByteOrder { kBigEndian, kLittleEndian };
[[nodiscard]] std::string WithOrientation(std::string_view jpeg, int orientation,
                                          ByteOrder order = ByteOrder::kBigEndian);

// A chunk with its length and checksum; a file is kPngSignature and its chunks.
inline constexpr std::string_view kPngSignature("\x89PNG\r\n\x1a\n", 8);
[[nodiscard]] std::string PngChunk(std::string_view type, std::string_view data);
[[nodiscard]] std::string PngHeader(uint32_t width, uint32_t height, int depth, int colour_type, int compression = 0,
                                    int filter = 0, int interlace = 0);

[[nodiscard]] std::string BigEndian32(uint32_t value);

}  // namespace gwq::testing
