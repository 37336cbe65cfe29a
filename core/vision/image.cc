#include "core/vision/image.h"

#include <fmt/format.h>

#include <algorithm>
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
    return absl::InvalidArgumentError(fmt::format("the image has {} x {} pixels", header.width, header.height));
  }
  if (header.width > limits.max_side || header.height > limits.max_side) {
    return absl::InvalidArgumentError(fmt::format("the image has {} x {} pixels; a side may have {}: make it smaller",
                                                  header.width, header.height, limits.max_side));
  }
  if (int64_t{header.width} * header.height > limits.max_pixels) {
    return absl::InvalidArgumentError(fmt::format("the image has {} x {} = {} pixels; the limit is {}: make it smaller",
                                                  header.width, header.height, int64_t{header.width} * header.height,
                                                  limits.max_pixels));
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
    return absl::InvalidArgumentError("the image file is not a JPEG, PNG or WebP; convert it to one of them");
  }
  GWQ_ASSIGN_OR_RETURN(const ImageHeader header, ReadStoredHeader(*format, file));
  GWQ_RETURN_IF_ERROR(CheckSize(header, limits));
  return header;
}

bool SwapsSides(int orientation) { return orientation >= 5; }

// Rows become columns, in place: each cycle of that permutation is walked once.
void Transpose(Image& image) {
  const auto width = static_cast<size_t>(image.width), height = static_cast<size_t>(image.height);
  const size_t pixels = width * height;
  std::vector<bool> placed(pixels);
  const auto at = [&](size_t pixel) { return image.rgb.data() + 3 * pixel; };
  for (size_t first = 0; first < pixels; ++first) {
    if (placed[first]) continue;
    uint8_t kept[3];
    std::memcpy(kept, at(first), 3);
    size_t to = first;
    for (size_t from = to % height * width + to / height; from != first; from = to % height * width + to / height) {
      std::memcpy(at(to), at(from), 3);
      placed[to] = true;
      to = from;
    }
    std::memcpy(at(to), kept, 3);
    placed[to] = true;
  }
  std::swap(image.width, image.height);
}

void MirrorRows(Image& image) {
  for (int y = 0; y < image.height; ++y) {
    uint8_t* const row = image.Row(y);
    for (int left = 0, right = image.width - 1; left < right; ++left, --right) {
      std::swap_ranges(row + 3 * left, row + 3 * left + 3, row + 3 * right);
    }
  }
}

void MirrorColumns(Image& image) {
  for (int top = 0, bottom = image.height - 1; top < bottom; ++top, --bottom) {
    std::swap_ranges(image.Row(top), image.Row(top + 1), image.Row(bottom));
  }
}

void TurnUpright(Image& image, int orientation) {
  if (SwapsSides(orientation)) Transpose(image);
  if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7) MirrorRows(image);
  if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8) MirrorColumns(image);
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
  Image image{.width = header.width, .height = header.height, .rgb = {}};
  GWQ_RETURN_IF_ERROR(DecodePixels(header.format, file, image));
  TurnUpright(image, header.orientation);
  return image;
}

}  // namespace gwq
