// JPEG by libjpeg-turbo.
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <vector>

// libjpeg's headers include nothing themselves: they come after the others, and in this order.
// clang-format off
#include <jpeglib.h>
#include <jerror.h>
// clang-format on

#include "core/vision/c_guard.h"
#include "core/vision/decoders.h"
#include "core/vision/exif.h"
#include "core/vision/jpeg_coefficients.h"

namespace gwq {
namespace {

constexpr int kMaxScans = 64;  // a progressive encoder writes about 10; each costs a walk over the whole image

struct ErrorManager : jpeg_error_mgr {
  CGuard* guard;
};

[[noreturn]] void OnError(j_common_ptr jpeg) {
  CGuard& guard = *static_cast<ErrorManager*>(jpeg->err)->guard;
  jpeg->err->format_message(jpeg, guard.buffer());
  guard.Fail();
}

// The library repairs broken data and only warns; an image with invented parts is worse than none. Two warnings leave
// every pixel as it was meant: bytes between markers, and an unknown colour transform of Adobe.
void OnMessage(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_ADOBE_XFORM) OnError(jpeg);
}

void Discard(j_common_ptr) {}

// One file being read. Calls of libjpeg happen inside guard.Run alone.
class JpegReader {
 public:
  explicit JpegReader(std::span<const std::byte> file) : file_(file) {
    jpeg_.err = jpeg_std_error(&errors_);
    errors_.guard = &guard_;
    errors_.error_exit = OnError;
    errors_.emit_message = OnMessage;
    errors_.output_message = Discard;
  }
  ~JpegReader() {
    if (created_) jpeg_destroy_decompress(&jpeg_);
  }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  absl::Status ReadHeader() {
    const bool read = guard_.Run([&] {
      jpeg_create_decompress(&jpeg_);
      created_ = true;
      coefficients_.Install(jpeg_);
      jpeg_mem_src(&jpeg_, reinterpret_cast<const unsigned char*>(file_.data()), file_.size());
      jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xffff);
      jpeg_read_header(&jpeg_, TRUE);
    });
    if (!read) return Broken();
    if (jpeg_.num_components != 1 && jpeg_.num_components != 3 && jpeg_.num_components != 4) {
      return absl::InvalidArgumentError(
          fmt::format("the JPEG has {} colour components; 1 (grey), 3 and 4 (CMYK) are read", jpeg_.num_components));
    }
    return absl::OkStatus();
  }

  [[nodiscard]] ImageHeader header() const {
    return {.format = ImageFormat::kJpeg,
            .width = static_cast<int>(jpeg_.image_width),
            .height = static_cast<int>(jpeg_.image_height),
            .orientation = Orientation()};
  }

  absl::Status ReadPixels(Image& image) {
    const bool cmyk = jpeg_.num_components == 4;
    AllocatePixels(image);
    jpeg_.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    std::vector<uint8_t> inks(cmyk ? size_t{4} * image.width : 0);
    if (jpeg_has_multiple_scans(&jpeg_) == TRUE) {
      if (absl::Status read = ReadScans(); !read.ok()) return read;
    } else if (!guard_.Run([&] { jpeg_start_decompress(&jpeg_); })) {
      return Broken();
    }
    const bool read = guard_.Run([&] {
      for (int y = 0; y < image.height; ++y) {
        JSAMPROW row = cmyk ? inks.data() : image.Row(y);
        jpeg_read_scanlines(&jpeg_, &row, 1);
        if (cmyk) InksToRgb(inks.data(), image.width, image.Row(y));
      }
      if (jpeg_.buffered_image == TRUE) jpeg_finish_output(&jpeg_);
      jpeg_finish_decompress(&jpeg_);
    });
    return read ? absl::OkStatus() : Broken();
  }

 private:
  // All scans before the first row, counted, and every colour component among them.
  absl::Status ReadScans() {
    bool seen[MAX_COMPONENTS] = {};
    int scans = 0;
    const bool read = guard_.Run([&] {
      jpeg_.buffered_image = TRUE;
      jpeg_start_decompress(&jpeg_);
      for (int event = JPEG_REACHED_SOS; event != JPEG_REACHED_EOI; event = jpeg_consume_input(&jpeg_)) {
        if (event != JPEG_REACHED_SOS) continue;
        for (int i = 0; i < jpeg_.comps_in_scan; ++i) seen[jpeg_.cur_comp_info[i]->component_index] = true;
        if (++scans > kMaxScans) guard_.Fail("too many scans: an image made to take long");
      }
      jpeg_start_output(&jpeg_, jpeg_.input_scan_number);
    });
    if (!coefficients_.status().ok()) return coefficients_.status();
    if (!read) return Broken();
    if (std::count(seen, seen + jpeg_.num_components, true) == jpeg_.num_components) return absl::OkStatus();
    return absl::InvalidArgumentError("the JPEG is broken: a colour component is missing");
  }

  // Adobe stores inks inverted, and Pillow takes every file with four components for one of Adobe's.
  static void InksToRgb(const uint8_t* inks, int pixels, uint8_t* rgb) {
    for (int x = 0; x < pixels; ++x, inks += 4, rgb += 3) {
      for (int channel = 0; channel < 3; ++channel) {
        // What is left of the light that black lets through; Pillow's rounding of a product of two bytes.
        const int product = (255 - inks[channel]) * inks[3] + 128;
        const int absorbed = (product + (product >> 8)) >> 8;
        rgb[channel] = static_cast<uint8_t>(std::max(0, inks[3] - absorbed));
      }
    }
  }

  [[nodiscard]] int Orientation() const {
    for (const jpeg_marker_struct* marker = jpeg_.marker_list; marker != nullptr; marker = marker->next) {
      if (marker->data_length < 6 || std::memcmp(marker->data, "Exif\0\0", 6) != 0) continue;
      return ExifOrientation({reinterpret_cast<const std::byte*>(marker->data), marker->data_length});
    }
    return 1;
  }

  [[nodiscard]] absl::Status Broken() const {
    return absl::InvalidArgumentError(fmt::format("the JPEG is broken or cut short: {}", guard_.message()));
  }

  const std::span<const std::byte> file_;
  CGuard guard_;
  ErrorManager errors_ = {};
  JpegCoefficients coefficients_;
  jpeg_decompress_struct jpeg_ = {};
  bool created_ = false;
};

}  // namespace

absl::StatusOr<ImageHeader> ReadJpegHeader(std::span<const std::byte> file) {
  JpegReader reader(file);
  if (absl::Status read = reader.ReadHeader(); !read.ok()) return read;
  return reader.header();
}

absl::Status DecodeJpeg(std::span<const std::byte> file, Image& image) {
  JpegReader reader(file);
  if (absl::Status read = reader.ReadHeader(); !read.ok()) return read;
  return reader.ReadPixels(image);
}

}  // namespace gwq
