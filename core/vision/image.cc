#include "core/vision/image.h"

#include <fmt/format.h>

#include <cstring>
#include <optional>
#include <utility>

#include "core/base/status.h"
#include "core/vision/decoders.h"

namespace gwq {
namespace {

bool StartsWith(std::span<const std::byte> file, size_t offset, std::string_view text) {
  return file.size() >= offset + text.size() && std::memcmp(file.data() + offset, text.data(), text.size()) == 0;
}

std::optional<ImageFormat> FormatOf(std::span<const std::byte> file) {
  if (StartsWith(file, 0, "\xff\xd8\xff")) return ImageFormat::kJpeg;
  if (StartsWith(file, 0, "\x89PNG\r\n\x1a\n")) return ImageFormat::kPng;
  if (StartsWith(file, 0, "RIFF") && StartsWith(file, 8, "WEBP")) return ImageFormat::kWebp;
  return std::nullopt;
}

absl::StatusOr<ImageHeader> ReadStoredHeader(ImageFormat format, std::span<const std::byte> file) {
  switch (format) {
    case ImageFormat::kJpeg:
      return ReadJpegHeader(file);
    case ImageFormat::kPng:
      return ReadPngHeader(file);
    case ImageFormat::kWebp:
      return ReadWebpHeader(file);
  }
  return absl::InternalError("unknown format");
}

absl::Status DecodePixels(ImageFormat format, std::span<const std::byte> file, Image& image) {
  switch (format) {
    case ImageFormat::kJpeg:
      return DecodeJpeg(file, image);
    case ImageFormat::kPng:
      return DecodePng(file, image);
    case ImageFormat::kWebp:
      return DecodeWebp(file, image);
  }
  return absl::InternalError("unknown format");
}

absl::Status CheckSize(const ImageHeader& header, const ImageLimits& limits) {
  if (header.width < 1 || header.height < 1) {
    return absl::InvalidArgumentError(fmt::format("the picture has {} x {} pixels", header.width, header.height));
  }
  if (header.width > limits.max_side || header.height > limits.max_side) {
    return absl::InvalidArgumentError(fmt::format("the picture has {} x {} pixels; a side may have {}: make it smaller",
                                                  header.width, header.height, limits.max_side));
  }
  if (int64_t{header.width} * header.height > limits.max_pixels) {
    return absl::InvalidArgumentError(
        fmt::format("the picture has {} x {} = {} pixels; the limit is {}: make it smaller", header.width,
                    header.height, int64_t{header.width} * header.height, limits.max_pixels));
  }
  return absl::OkStatus();
}

// The header as stored, every limit checked.
absl::StatusOr<ImageHeader> CheckedHeader(std::span<const std::byte> file, const ImageLimits& limits) {
  if (file.empty()) return absl::InvalidArgumentError("the image file is empty");
  if (file.size() > limits.max_bytes) {
    return absl::InvalidArgumentError(
        fmt::format("the image file has {} bytes; the limit is {}", file.size(), limits.max_bytes));
  }
  const std::optional<ImageFormat> format = FormatOf(file);
  if (!format.has_value()) {
    return absl::InvalidArgumentError("the image file is no JPEG, PNG or WebP; convert it to one of them");
  }
  GWQ_ASSIGN_OR_RETURN(const ImageHeader header, ReadStoredHeader(*format, file));
  GWQ_RETURN_IF_ERROR(CheckSize(header, limits));
  return header;
}

bool SwapsSides(int orientation) { return orientation >= 5; }

// The picture turned upright. Along a row of the result the stored pixels are `across` apart, from row to row `down`.
Image Upright(const Image& stored, int orientation) {
  const int64_t width = stored.width, height = stored.height;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const int64_t step_x = from_right ? -1 : 1;
  const int64_t step_y = from_bottom ? -width : width;
  const int64_t first = (from_right ? width - 1 : 0) + (from_bottom ? (height - 1) * width : 0);
  const int64_t across = SwapsSides(orientation) ? step_y : step_x;
  const int64_t down = SwapsSides(orientation) ? step_x : step_y;

  Image upright{.width = stored.width, .height = stored.height, .rgb = std::vector<uint8_t>(stored.rgb.size())};
  if (SwapsSides(orientation)) std::swap(upright.width, upright.height);
  for (int y = 0; y < upright.height; ++y) {
    uint8_t* out = upright.Row(y);
    for (int x = 0; x < upright.width; ++x, out += 3) {
      std::memcpy(out, stored.rgb.data() + 3 * (first + down * y + across * x), 3);
    }
  }
  return upright;
}

}  // namespace

std::string_view ImageFormatName(ImageFormat format) {
  switch (format) {
    case ImageFormat::kJpeg:
      return "JPEG";
    case ImageFormat::kPng:
      return "PNG";
    case ImageFormat::kWebp:
      return "WebP";
  }
  return "unknown";
}

absl::StatusOr<ImageHeader> ReadImageHeader(std::span<const std::byte> file, const ImageLimits& limits) {
  GWQ_ASSIGN_OR_RETURN(ImageHeader header, CheckedHeader(file, limits));
  if (SwapsSides(header.orientation)) std::swap(header.width, header.height);
  return header;
}

absl::StatusOr<Image> DecodeImage(std::span<const std::byte> file, const ImageLimits& limits) {
  GWQ_ASSIGN_OR_RETURN(const ImageHeader header, CheckedHeader(file, limits));
  Image image{.width = header.width,
              .height = header.height,
              .rgb = std::vector<uint8_t>(size_t{3} * header.width * header.height)};
  GWQ_RETURN_IF_ERROR(DecodePixels(header.format, file, image));
  return header.orientation == 1 ? std::move(image) : Upright(image, header.orientation);
}

}  // namespace gwq
