// WebP by libwebp.
#include <fmt/format.h>
#include <webp/decode.h>

#include <cstring>

#include "core/vision/decoders.h"
#include "core/vision/exif.h"

namespace gwq {
namespace {

constexpr size_t kRiffHeaderBytes = 12;
constexpr size_t kChunkHeaderBytes = 8;

uint32_t LittleEndian(const std::byte* at) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) value = value << 8 | std::to_integer<uint32_t>(at[i]);
  return value;
}

const uint8_t* Data(std::span<const std::byte> file) { return reinterpret_cast<const uint8_t*>(file.data()); }

// Of the chunk EXIF, wherever it stands.
int Orientation(std::span<const std::byte> file) {
  for (size_t at = kRiffHeaderBytes; at + kChunkHeaderBytes <= file.size();) {
    const size_t size = LittleEndian(&file[at + 4]);
    if (size > file.size() - at - kChunkHeaderBytes) break;
    if (std::memcmp(&file[at], "EXIF", 4) == 0) return ExifOrientation(file.subspan(at + kChunkHeaderBytes, size));
    at += kChunkHeaderBytes + size + size % 2;
  }
  return 1;
}

std::string_view Reason(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_OUT_OF_MEMORY:
      return "no memory";
    case VP8_STATUS_UNSUPPORTED_FEATURE:
      return "a feature that libwebp does not know";
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return "the file ends too early";
    default:
      return "its data is corrupt";
  }
}

absl::Status Broken(VP8StatusCode status) {
  return absl::InvalidArgumentError(fmt::format("the WebP is broken or cut short: {}", Reason(status)));
}

}  // namespace

absl::StatusOr<ImageHeader> ReadWebpHeader(std::span<const std::byte> file) {
  WebPBitstreamFeatures features;
  if (const VP8StatusCode status = WebPGetFeatures(Data(file), file.size(), &features); status != VP8_STATUS_OK) {
    return Broken(status);
  }
  if (features.has_animation != 0) {
    return absl::InvalidArgumentError("the WebP is animated; send one of its pictures as a file of its own");
  }
  return ImageHeader{.format = ImageFormat::kWebp,
                     .width = features.width,
                     .height = features.height,
                     .orientation = Orientation(file)};
}

absl::Status DecodeWebp(std::span<const std::byte> file, Image& image) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) return absl::InternalError("libwebp is of another version than its headers");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {.rgba = image.rgb.data(), .stride = 3 * image.width, .size = image.rgb.size()};
  const VP8StatusCode status = WebPDecode(Data(file), file.size(), &config);
  WebPFreeDecBuffer(&config.output);
  return status == VP8_STATUS_OK ? absl::OkStatus() : Broken(status);
}

}  // namespace gwq
