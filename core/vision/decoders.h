// One file format each, behind core/vision/image.h. Headers are as stored: the orientation is told, not applied.
#pragma once

#include <cstddef>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/vision/image.h"

namespace gwq {

// Everything up to the first pixels; allocates nothing of the image's size.
[[nodiscard]] absl::StatusOr<ImageHeader> ReadJpegHeader(std::span<const std::byte> file);
[[nodiscard]] absl::StatusOr<ImageHeader> ReadPngHeader(std::span<const std::byte> file);
[[nodiscard]] absl::StatusOr<ImageHeader> ReadWebpHeader(std::span<const std::byte> file);

// Makes and fills the pixels of `image`, whose size is the header's. After an error they are of no use.
[[nodiscard]] absl::Status DecodeJpeg(std::span<const std::byte> file, Image& image);
[[nodiscard]] absl::Status DecodePng(std::span<const std::byte> file, Image& image);
[[nodiscard]] absl::Status DecodeWebp(std::span<const std::byte> file, Image& image);

inline void AllocatePixels(Image& image) { image.rgb.resize(size_t{3} * image.width * image.height); }

}  // namespace gwq
