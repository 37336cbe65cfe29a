#include "tests/core/vision/made_images.h"

#include <png.h>
#include <webp/encode.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>

// After <cstdio>, which it needs.
#include <jpeglib.h>

namespace gwq::testing {

Image MakeScene(int width, int height) {
  Image image{.width = width, .height = height, .rgb = std::vector<uint8_t>(size_t{3} * width * height)};
  for (int y = 0; y < height; ++y) {
    uint8_t* row = image.Row(y);
    for (int x = 0; x < 3 * width; ++x) row[x] = static_cast<uint8_t>(x / 8 + y / 4 + (x % 7) * (y % 5));
  }
  return image;
}

namespace {

// The scans of three components, as jpeg_compress_struct takes them; empty for those the library makes itself.
std::vector<jpeg_scan_info> ScansOf(JpegKind kind) {
  std::vector<jpeg_scan_info> scans;
  if (kind == JpegKind::kSeparate) {
    for (int component = 0; component < 3; ++component) scans.push_back({1, {component}, 0, 63, 0, 0});
  }
  if (kind == JpegKind::kManyScans) {
    scans.push_back({3, {0, 1, 2}, 0, 0, 0, 0});
    for (int component = 0; component < 3; ++component) {
      for (int coefficient = 1; coefficient < 64; ++coefficient) {
        scans.push_back({1, {component}, coefficient, coefficient, 0, 0});
      }
    }
  }
  return scans;
}

}  // namespace

std::string EncodeJpeg(const Image& image, JpegKind kind) {
  jpeg_error_mgr errors;
  jpeg_compress_struct jpeg;
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&jpeg, &data, &size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;
  if (kind == JpegKind::kProgressive) jpeg_simple_progression(&jpeg);
  if (const auto scans = ScansOf(kind); !scans.empty()) {
    auto* kept = static_cast<jpeg_scan_info*>(jpeg.mem->alloc_small(reinterpret_cast<j_common_ptr>(&jpeg), JPOOL_IMAGE,
                                                                    scans.size() * sizeof(jpeg_scan_info)));
    std::ranges::copy(scans, kept);
    jpeg.scan_info = kept;
    jpeg.num_scans = static_cast<int>(scans.size());
  }
  jpeg_start_compress(&jpeg, TRUE);
  for (int y = 0; y < image.height; ++y) {
    JSAMPROW row = const_cast<JSAMPROW>(image.Row(y));
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  std::string file(reinterpret_cast<const char*>(data), size);
  std::free(data);
  return file;
}

std::string EncodeInterlacedPng(const Image& image) {
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  std::string file;
  const auto write = [](png_structp to, png_bytep data, size_t size) {
    static_cast<std::string*>(png_get_io_ptr(to))->append(reinterpret_cast<const char*>(data), size);
  };
  png_set_write_fn(png, &file, write, nullptr);
  png_set_IHDR(png, info, static_cast<png_uint_32>(image.width), static_cast<png_uint_32>(image.height), 8,
               PNG_COLOR_TYPE_RGB, PNG_INTERLACE_ADAM7, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_compression_level(png, 1);
  png_write_info(png, info);
  const int passes = png_set_interlace_handling(png);
  for (int pass = 0; pass < passes; ++pass) {
    for (int y = 0; y < image.height; ++y) png_write_row(png, image.Row(y));
  }
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  return file;
}

namespace {

// With an alpha channel of as much texture as the image.
std::vector<uint8_t> WithAlpha(const Image& image) {
  std::vector<uint8_t> rgba;
  rgba.reserve(image.rgb.size() / 3 * 4);
  for (size_t at = 0; at < image.rgb.size(); at += 3) {
    for (int channel = 0; channel < 3; ++channel) rgba.push_back(image.rgb[at + channel]);
    rgba.push_back(static_cast<uint8_t>(image.rgb[at] ^ at / 7));
  }
  return rgba;
}

}  // namespace

std::string EncodeWebp(const Image& image, WebpKind kind) {
  WebPConfig config;
  WebPConfigInit(&config);
  config.method = 0;  // quick
  config.lossless = kind == WebpKind::kLossless ? 1 : 0;
  WebPPicture picture;
  WebPPictureInit(&picture);
  picture.width = image.width;
  picture.height = image.height;
  picture.use_argb = config.lossless;
  WebPMemoryWriter writer;
  WebPMemoryWriterInit(&writer);
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &writer;
  std::string file;
  const int imported = kind == WebpKind::kLossyWithAlpha
                           ? WebPPictureImportRGBA(&picture, WithAlpha(image).data(), 4 * image.width)
                           : WebPPictureImportRGB(&picture, image.rgb.data(), 3 * image.width);
  if (imported != 0 && WebPEncode(&config, &picture) != 0) {
    file.assign(reinterpret_cast<const char*>(writer.mem), writer.size);
  }
  WebPMemoryWriterClear(&writer);
  WebPPictureFree(&picture);
  return file;
}

std::string WithOrientation(std::string_view jpeg, int orientation, ByteOrder order) {
  // A directory of one entry: tag 0x0112, type 3 (16 bits), one value.
  std::string tiff = order == ByteOrder::kBigEndian
                         ? std::string("MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0?\0\0", 22)
                         : std::string("II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0?\0\0\0", 22);
  tiff[tiff.find('?')] = static_cast<char>(orientation);
  const std::string exif = std::string("Exif\0\0", 6) + tiff + std::string(4, '\0');
  std::string segment("\xff\xe1\0", 3);
  segment += static_cast<char>(exif.size() + 2);
  return std::string(jpeg.substr(0, 2)) + segment + exif + std::string(jpeg.substr(2));
}

std::string BigEndian32(uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

std::string PngChunk(std::string_view type, std::string_view data) {
  const std::string body = std::string(type) + std::string(data);
  uint32_t crc = ~uint32_t{0};
  for (const char c : body) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0);
  }
  return BigEndian32(static_cast<uint32_t>(data.size())) + body + BigEndian32(~crc);
}

std::string PngHeader(uint32_t width, uint32_t height, int depth, int colour_type, int compression, int filter,
                      int interlace) {
  std::string data = BigEndian32(width) + BigEndian32(height);
  for (const int value : {depth, colour_type, compression, filter, interlace}) data += static_cast<char>(value);
  return PngChunk("IHDR", data);
}

}  // namespace gwq::testing
