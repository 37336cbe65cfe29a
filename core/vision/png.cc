// PNG by libpng.
#include <fmt/format.h>
#include <png.h>

#include <cstring>

#include "core/vision/c_guard.h"
#include "core/vision/decoders.h"
#include "core/vision/exif.h"

namespace gwq {
namespace {

constexpr size_t kSignatureBytes = 8;

[[noreturn]] void OnError(png_structp png, png_const_charp message) {
  static_cast<CGuard*>(png_get_error_ptr(png))->Fail(message);
}

void Discard(png_structp, png_const_charp) {}

struct Source {
  std::span<const std::byte> rest;
};

void ReadBytes(png_structp png, png_bytep out, size_t size) {
  Source& source = *static_cast<Source*>(png_get_io_ptr(png));
  if (size > source.rest.size()) png_error(png, "the file ends too early");
  std::memcpy(out, source.rest.data(), size);
  source.rest = source.rest.subspan(size);
}

uint32_t BigEndian(const std::byte* at) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(at[i]);
  return value;
}

// Of the chunk eXIf, wherever it stands.
int Orientation(std::span<const std::byte> file) {
  for (size_t at = kSignatureBytes; file.size() >= 8 && at <= file.size() - 8;) {
    const size_t size = BigEndian(&file[at]);
    if (size > file.size() - at - 8) break;
    if (std::memcmp(&file[at + 4], "eXIf", 4) == 0) return ExifOrientation(file.subspan(at + 8, size));
    at += 8 + size + 4;
  }
  return 1;
}

// One file being read. Calls of libpng happen inside guard.Run alone.
class PngReader {
 public:
  explicit PngReader(std::span<const std::byte> file) : source_{file} {}
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  absl::Status ReadHeader() {
    const bool read = guard_.Run([&] {
      png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &guard_, OnError, Discard);
      info_ = png_ == nullptr ? nullptr : png_create_info_struct(png_);
      if (info_ == nullptr) guard_.Fail("no memory");
      png_set_read_fn(png_, &source_, ReadBytes);
      png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // ours are checked before anything is allocated
      // Compressed texts and profiles are not even looked at: each could be a bomb of its own.
      png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
      png_read_info(png_, info_);
    });
    return read ? absl::OkStatus() : Broken();
  }

  [[nodiscard]] ImageHeader header(std::span<const std::byte> file) const {
    return {.format = ImageFormat::kPng,
            .width = static_cast<int>(png_get_image_width(png_, info_)),
            .height = static_cast<int>(png_get_image_height(png_, info_)),
            .orientation = Orientation(file)};
  }

  absl::Status ReadPixels(Image& image) {
    AllocatePixels(image);
    const bool read = guard_.Run([&] {
      png_set_strip_16(png_);
      png_set_palette_to_rgb(png_);
      png_set_expand_gray_1_2_4_to_8(png_);
      png_set_gray_to_rgb(png_);
      png_set_strip_alpha(png_);
      const int passes = png_set_interlace_handling(png_);
      png_read_update_info(png_, info_);
      if (png_get_rowbytes(png_, info_) != size_t{3} * image.width) guard_.Fail("rows of an unexpected size");
      for (int pass = 0; pass < passes; ++pass) {
        for (int y = 0; y < image.height; ++y) png_read_row(png_, image.Row(y), nullptr);
      }
      png_read_end(png_, nullptr);
    });
    return read ? absl::OkStatus() : Broken();
  }

 private:
  [[nodiscard]] absl::Status Broken() const {
    return absl::InvalidArgumentError(fmt::format("the PNG is broken or cut short: {}", guard_.message()));
  }

  Source source_;
  CGuard guard_;
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

}  // namespace

absl::StatusOr<ImageHeader> ReadPngHeader(std::span<const std::byte> file) {
  PngReader reader(file);
  if (absl::Status read = reader.ReadHeader(); !read.ok()) return read;
  return reader.header(file);
}

absl::Status DecodePng(std::span<const std::byte> file, Image& image) {
  PngReader reader(file);
  if (absl::Status read = reader.ReadHeader(); !read.ok()) return read;
  return reader.ReadPixels(image);
}

}  // namespace gwq
