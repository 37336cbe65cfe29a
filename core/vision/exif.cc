#include "core/vision/exif.h"

#include <cstdint>
#include <cstring>

namespace gwq {
namespace {

constexpr uint32_t kOrientationTag = 0x0112;
constexpr uint32_t kShortType = 3;
constexpr size_t kEntryBytes = 12;

// Numbers of a TIFF structure in its byte order; 0 for what lies outside.
class TiffReader {
 public:
  explicit TiffReader(std::span<const std::byte> bytes) : bytes_(bytes) {
    little_endian_ = bytes.size() >= 2 && bytes[0] == std::byte{'I'} && bytes[1] == std::byte{'I'};
  }
  [[nodiscard]] uint32_t Read(size_t offset, size_t size) const {
    if (offset > bytes_.size() || size > bytes_.size() - offset) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value = value << 8 | std::to_integer<uint32_t>(bytes_[offset + (little_endian_ ? size - 1 - i : i)]);
    }
    return value;
  }

 private:
  std::span<const std::byte> bytes_;
  bool little_endian_ = false;
};

}  // namespace

int ExifOrientation(std::span<const std::byte> exif) {
  if (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0\0", 6) == 0) exif = exif.subspan(6);
  const TiffReader tiff(exif);
  if (tiff.Read(2, 2) != 42) return 1;
  const size_t directory = tiff.Read(4, 4);
  const uint32_t entries = tiff.Read(directory, 2);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + kEntryBytes * i;
    if (entry >= exif.size()) break;
    if (tiff.Read(entry, 2) != kOrientationTag || tiff.Read(entry + 2, 2) != kShortType) continue;
    const uint32_t orientation = tiff.Read(entry + 8, 2);
    return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
  }
  return 1;
}

}  // namespace gwq
