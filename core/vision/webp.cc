// WebP by libwebp.
#include <fmt/format.h>
#include <webp/decode.h>

#include <cstring>

#include "core/base/status.h"
#include "core/io/scratch_memory.h"
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

// The first chunk of that name with its header, wherever it stands; empty if there is none whole.
std::span<const std::byte> Chunk(std::span<const std::byte> file, std::string_view name) {
  for (size_t at = kRiffHeaderBytes; at + kChunkHeaderBytes <= file.size();) {
    const size_t size = LittleEndian(&file[at + 4]);
    if (size > file.size() - at - kChunkHeaderBytes) break;
    if (std::memcmp(&file[at], name.data(), name.size()) == 0) return file.subspan(at, kChunkHeaderBytes + size);
    at += kChunkHeaderBytes + size + size % 2;
  }
  return {};
}

int Orientation(std::span<const std::byte> file) {
  const std::span<const std::byte> exif = Chunk(file, "EXIF");
  return exif.empty() ? 1 : ExifOrientation(exif.subspan(kChunkHeaderBytes));
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

// Of a file that holds as many bytes as it says.
bool IsLossy(std::span<const std::byte> file) {
  WebPBitstreamFeatures features;
  return WebPGetFeatures(Data(file), file.size(), &features) == VP8_STATUS_OK && features.format == 1 &&
         LittleEndian(&file[4]) <= file.size() - kChunkHeaderBytes;
}

// All rows into `rgb`, [height, width, 3].
absl::Status ReadRows(std::span<const std::byte> file, int width, std::span<uint8_t> rgb) {
  WebPDecoderConfig config;
  if (WebPInitDecoderConfig(&config) == 0) return absl::InternalError("libwebp is of another version than its headers");
  config.output.colorspace = MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {.rgba = rgb.data(), .stride = 3 * width, .size = rgb.size()};
  const VP8StatusCode status = WebPDecode(Data(file), file.size(), &config);
  WebPFreeDecBuffer(&config.output);
  return status == VP8_STATUS_OK ? absl::OkStatus() : Broken(status);
}

// libwebp keeps a lossless image whole, with four bytes per pixel until its last row is read; ours is made when that is
// gone.
absl::Status ReadWhole(std::span<const std::byte> file, Image& image) {
  GWQ_ASSIGN_OR_RETURN(const ScratchMemory rows, ScratchMemory::Create(size_t{3} * image.width * image.height));
  auto* const rgb = reinterpret_cast<uint8_t*>(rows.bytes().data());
  GWQ_RETURN_IF_ERROR(ReadRows(file, image.width, {rgb, rows.bytes().size()}));
  image.rgb.assign(rgb, rgb + rows.bytes().size());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ImageHeader> ReadWebpHeader(std::span<const std::byte> file) {
  WebPBitstreamFeatures features;
  if (const VP8StatusCode status = WebPGetFeatures(Data(file), file.size(), &features); status != VP8_STATUS_OK) {
    return Broken(status);
  }
  if (features.has_animation != 0) {
    return absl::InvalidArgumentError("the WebP is animated; send one of its images as a file of its own");
  }
  return ImageHeader{.format = ImageFormat::kWebp,
                     .width = features.width,
                     .height = features.height,
                     .orientation = Orientation(file)};
}

absl::Status DecodeWebp(std::span<const std::byte> file, Image& image) {
  // An alpha channel, which is dropped, would be decoded all the same, and held whole: a lossy image goes without it.
  const std::span<const std::byte> lossy = IsLossy(file) ? Chunk(file, "VP8 ") : file.first(0);
  if (lossy.empty()) return ReadWhole(file, image);
  AllocatePixels(image);
  return ReadRows(lossy, image.width, image.rgb);
}

}  // namespace gwq
