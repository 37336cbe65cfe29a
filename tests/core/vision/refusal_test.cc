// Broken, truncated and hostile files: refused with the right code and the reason, whole, and without harm.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "core/vision/image.h"
#include "tests/core/vision/golden_images.h"
#include "tests/core/vision/made_images.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::BigEndian32;
using testing::BytesOf;
using testing::GoldenFile;
using testing::Goldens;
using testing::HasCode;
using testing::IsOk;
using testing::kPngSignature;
using testing::PngChunk;
using testing::PngHeader;

// zlib streams, stored: of the four bytes of a row of one RGB pixel with filter type 0, of filter type 9, of no bytes.
const std::string kOneRow("\x78\x01\x01\x04\x00\xfb\xff\x00\x10\x20\x30\x00\xa4\x00\x61", 15);
const std::string kBadFilter("\x78\x01\x01\x04\x00\xfb\xff\x09\x10\x20\x30\x00\xc8\x00\x6a", 15);
const std::string kNoRows("\x78\x01\x01\x00\x00\xff\xff\x00\x00\x00\x01", 11);

std::string Png(const std::string& chunks) { return std::string(kPngSignature) + chunks; }
std::string PngEnd() { return PngChunk("IEND", ""); }
std::string PngOf(const std::string& header, const std::string& data) {
  return Png(header + PngChunk("IDAT", data) + PngEnd());
}

std::string Part(const std::string& name, double share) {
  const std::string file = GoldenFile(name);
  return file.substr(0, static_cast<size_t>(static_cast<double>(file.size()) * share));
}
std::string Without(const std::string& name, size_t bytes) {
  const std::string file = GoldenFile(name);
  return file.substr(0, file.size() - bytes);
}
// The golden file with `bytes` written over `offset` bytes after the first place of `mark`.
std::string Patched(const std::string& name, std::string_view mark, size_t offset, std::string_view bytes) {
  std::string file = GoldenFile(name);
  const size_t at = file.find(mark);
  EXPECT_NE(at, std::string::npos) << name;
  return file.replace(at + offset, bytes.size(), bytes);
}
// The segment of a JPEG that starts with this marker, once, taken out.
std::string WithoutSegment(const std::string& name, std::string_view marker) {
  std::string file = GoldenFile(name);
  for (size_t at = file.find(marker); at != std::string::npos; at = file.find(marker)) {
    const size_t size = static_cast<uint8_t>(file[at + 2]) * 256 + static_cast<uint8_t>(file[at + 3]);
    file.erase(at, 2 + size);
  }
  return file;
}

// A JPEG of three scans that ends before the second.
std::string FirstScanOnly() {
  const std::string file = testing::EncodeJpeg(testing::MakeScene(40, 30), testing::JpegKind::kSeparate);
  const std::string_view scan("\xff\xda", 2);
  return file.substr(0, file.find(scan, file.find(scan) + 2)) + "\xff\xd9";
}

constexpr std::string_view kBaselineFrame("\xff\xc0", 2);  // marker, length (2), precision, height (2), width (2), …
constexpr std::string_view kImageEnd("\xff\xd9", 2);
constexpr std::string_view kQuantTable("\xff\xdb", 2);
constexpr std::string_view kHuffmanTable("\xff\xc4", 2);

struct Refused {
  const char* name;
  std::function<std::string()> file;
  const char* reason;  // part of the message
  ImageLimits limits = {};
};

const Refused kRefused[] = {
    // No image at all.
    {"nothing", [] { return std::string(); }, "empty"},
    {"one byte", [] { return std::string("\xff"); }, "not a JPEG, PNG or WebP"},
    {"text", [] { return std::string("Where is the image?"); }, "not a JPEG, PNG or WebP"},
    {"GIF", [] { return std::string("GIF89a\1\0\1\0\0\0\0;", 14); }, "not a JPEG, PNG or WebP"},
    {"RIFF of another kind", [] { return std::string("RIFF\x04\0\0\0WAVE", 12); }, "not a JPEG, PNG or WebP"},
    {"zeros", [] { return std::string(4096, '\0'); }, "not a JPEG, PNG or WebP"},

    // JPEG.
    {"start of a JPEG", [] { return std::string("\xff\xd8\xff"); }, "JPEG is broken or cut short"},
    {"JPEG of markers alone", [] { return std::string("\xff\xd8\xff\xd9", 4); }, "JPEG is broken or cut short"},
    {"a quarter of a JPEG", [] { return Part("full-chroma.jpg", 0.25); }, "Premature end"},
    {"half a JPEG", [] { return Part("quarter-chroma.jpg", 0.5); }, "Premature end"},
    {"most of a JPEG", [] { return Part("grey.jpg", 0.97); }, "Premature end"},
    {"half a progressive JPEG", [] { return Part("progressive.jpg", 0.5); }, "Premature end"},
    {"JPEG without end mark", [] { return Without("half-chroma.jpg", 2); }, "Premature end"},
    {"JPEG ended in its middle",
     [] {
       std::string file = GoldenFile("full-chroma.jpg");
       return file.replace(file.size() / 2, 2, kImageEnd);
     },
     "Corrupt JPEG data: premature end"},
    {"JPEG with samples of 12 bits", [] { return Patched("grey.jpg", kBaselineFrame, 4, "\x0c"); }, "precision 12"},
    {"JPEG of height 0", [] { return Patched("grey.jpg", kBaselineFrame, 5, {"\0\0", 2}); }, "JPEG is broken"},
    {"JPEG of width 0", [] { return Patched("grey.jpg", kBaselineFrame, 7, {"\0\0", 2}); }, "JPEG is broken"},
    {"JPEG without lossy frame", [] { return Patched("grey.jpg", kBaselineFrame, 0, {"\xff\xc3", 2}); },
     "Unsupported JPEG process"},
    {"JPEG with an overfull Huffman table", [] { return Patched("grey.jpg", kHuffmanTable, 5, "\x05"); },
     "Bogus Huffman table"},
    {"JPEG without quantization tables", [] { return WithoutSegment("grey.jpg", kQuantTable); }, "Quantization table"},
    {"JPEG of 65,500 x 65,500", [] { return Patched("grey.jpg", kBaselineFrame, 5, "\xff\xdc\xff\xdc"); },
     "a side may have 16384"},
    {"JPEG of 16,000 x 16,000", [] { return Patched("grey.jpg", kBaselineFrame, 5, "\x3e\x80\x3e\x80"); },
     "the limit is 67108864"},
    {"JPEG larger than its data", [] { return Patched("grey.jpg", kBaselineFrame, 5, "\x08\x80\x08\x80"); },
     "JPEG is broken or cut short"},

    {"JPEG without its colours", [] { return FirstScanOnly(); }, "a colour component is missing"},
    {"JPEG in 190 scans", [] { return testing::EncodeJpeg(testing::MakeScene(40, 30), testing::JpegKind::kManyScans); },
     "too many scans"},

    // PNG.
    {"signature of a PNG", [] { return std::string(kPngSignature); }, "ends too early"},
    {"PNG header alone", [] { return Png(PngHeader(1, 1, 8, 2)); }, "ends too early"},
    {"PNG with a wrong header checksum", [] { return Patched("colour.png", "IHDR", 18, "\x01"); }, "CRC error"},
    {"PNG with a wrong data checksum", [] { return Patched("grey.png", "IDAT", 30, "\x55"); }, "PNG is broken"},
    {"half a PNG", [] { return Part("colour.png", 0.5); }, "ends too early"},
    {"half an interlaced PNG", [] { return Part("interlaced.png", 0.5); }, "ends too early"},
    {"PNG without end", [] { return Without("colour.png", 12); }, "ends too early"},
    {"PNG of width 0", [] { return PngOf(PngHeader(0, 1, 8, 2), kOneRow); }, "PNG is broken"},
    {"PNG of height 0", [] { return PngOf(PngHeader(1, 0, 8, 2), kOneRow); }, "PNG is broken"},
    {"PNG with 3 bits a sample", [] { return PngOf(PngHeader(1, 1, 3, 0), kOneRow); }, "PNG is broken"},
    {"PNG of colour type 1", [] { return PngOf(PngHeader(1, 1, 8, 1), kOneRow); }, "PNG is broken"},
    {"PNG with an unknown compression", [] { return PngOf(PngHeader(1, 1, 8, 2, 1), kOneRow); }, "PNG is broken"},
    {"PNG with an unknown filter method", [] { return PngOf(PngHeader(1, 1, 8, 2, 0, 1), kOneRow); }, "PNG is broken"},
    {"PNG with an unknown interlacing", [] { return PngOf(PngHeader(1, 1, 8, 2, 0, 0, 2), kOneRow); }, "PNG is broken"},
    {"PNG with an unknown row filter", [] { return PngOf(PngHeader(1, 1, 8, 2), kBadFilter); }, "filter"},
    {"PNG with too few rows", [] { return PngOf(PngHeader(1, 2, 8, 2), kOneRow); }, "PNG is broken or cut short"},
    {"PNG with no rows", [] { return PngOf(PngHeader(1, 1, 8, 2), kNoRows); }, "PNG is broken or cut short"},
    {"PNG with garbage for data", [] { return PngOf(PngHeader(1, 1, 8, 2), "not deflated"); }, "PNG is broken"},
    {"PNG without data", [] { return Png(PngHeader(1, 1, 8, 2) + PngEnd()); }, "PNG is broken"},
    {"PNG without its palette", [] { return PngOf(PngHeader(1, 1, 8, 3), kOneRow); }, "Missing PLTE"},
    {"PNG whose header is missing", [] { return Png(PngChunk("IDAT", kOneRow) + PngEnd()); }, "PNG is broken"},
    {"PNG with two headers",
     [] { return Png(PngHeader(1, 1, 8, 2) + PngHeader(1, 1, 8, 2) + PngChunk("IDAT", kOneRow) + PngEnd()); },
     "PNG is broken"},
    {"PNG with an unknown critical chunk",
     [] { return Png(PngHeader(1, 1, 8, 2) + PngChunk("ABCD", "?") + PngChunk("IDAT", kOneRow) + PngEnd()); },
     "PNG is broken"},
    {"PNG with an endless chunk",
     [] { return Png(PngHeader(1, 1, 8, 2)) + BigEndian32(0x7fffffff) + "IDAT" + kOneRow; }, "ends too early"},
    {"PNG of 2^31 - 1 columns", [] { return PngOf(PngHeader(0x7fffffff, 1, 8, 2), kOneRow); }, "a side may have 16384"},
    {"PNG of 2^32 - 1 columns", [] { return PngOf(PngHeader(0xffffffff, 1, 8, 2), kOneRow); }, "PNG is broken"},
    {"PNG of 16,385 rows", [] { return PngOf(PngHeader(1, 16385, 8, 2), kOneRow); }, "a side may have 16384"},
    {"PNG of 100 megapixels", [] { return GoldenFile("100-megapixels.png"); }, "the limit is 67108864"},

    // WebP.
    {"start of a WebP", [] { return std::string("RIFF\x10\0\0\0WEBP", 12); }, "ends too early"},
    {"half a lossy WebP", [] { return Part("lossy.webp", 0.5); }, "WebP is"},
    {"half a lossless WebP", [] { return Part("lossless.webp", 0.5); }, "WebP is"},
    {"WebP without its last byte", [] { return Without("alpha.webp", 1); }, "ends too early"},
    {"half a WebP that says it is whole",
     [] {
       std::string file = Part("lossy.webp", 0.5);
       const size_t told = file.size() - 8;
       for (int i = 0; i < 4; ++i) file[4 + i] = static_cast<char>(told >> 8 * i & 0xff);
       return file;
     },
     "WebP is broken"},
    {"WebP with a broken frame", [] { return Patched("lossy.webp", "VP8 ", 11, {"\0\0\0", 3}); }, "WebP is broken"},
    {"lossless WebP with a broken signature", [] { return Patched("lossless.webp", "VP8L", 8, "\x2e"); },
     "WebP is broken"},
    {"lossless WebP with garbage", [] { return Patched("lossless.webp", "VP8L", 16, std::string(400, '\xff')); },
     "WebP is broken"},
    {"animated WebP", [] { return Patched("orientation.webp", "VP8X", 8, "\x02"); }, "animated"},

    // Limits of the caller.
    {"too many bytes", [] { return GoldenFile("colour.png"); }, "the limit is 1000", {.max_bytes = 1000}},
    {"too many pixels", [] { return GoldenFile("colour.png"); }, "the limit is 10000", {.max_pixels = 10000}},
    {"too long a side", [] { return GoldenFile("lossy.webp"); }, "a side may have 150", {.max_side = 150}},
};

TEST(DecodeImage, RefusesBrokenAndHostileFilesWithTheReason) {
  EXPECT_GE(std::size(kRefused), 30u);
  for (const Refused& refused : kRefused) {
    const std::string file = refused.file();
    const auto image = DecodeImage(BytesOf(file), refused.limits);
    EXPECT_THAT(image, HasCode(absl::StatusCode::kInvalidArgument)) << refused.name;
    EXPECT_NE(MessageOf(image.status()).find(refused.reason), std::string_view::npos)
        << refused.name << ": " << image.status();
  }
}

TEST(DecodeImage, WritesNothingToTheStandardStreams) {
  ::testing::internal::CaptureStderr();
  ::testing::internal::CaptureStdout();
  for (const Refused& refused : kRefused) (void)DecodeImage(BytesOf(refused.file()), refused.limits).ok();
  EXPECT_EQ(::testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(DecodeImage, RefusesEveryGoldenFileCutShortAnywhere) {
  for (const auto& golden : Goldens()["images"]) {
    const std::string name = golden["name"], file = GoldenFile(name);
    const size_t step = std::max<size_t>(1, file.size() / 200);
    for (size_t size = file.size() - 1; size > 0; size = size > step ? size - step : 0) {
      const auto image = DecodeImage(BytesOf(file).first(size));
      EXPECT_THAT(image, HasCode(absl::StatusCode::kInvalidArgument)) << name << " cut to " << size;
    }
  }
}

TEST(DecodeImage, TakesFilesWithBytesBehindTheirEnd) {
  for (const char* name : {"full-chroma.jpg", "colour.png", "lossy.webp"}) {
    EXPECT_THAT(DecodeImage(BytesOf(GoldenFile(name) + "trailing")), IsOk()) << name;
  }
}

TEST(DecodeImage, GivesTheSamePixelsForOneScanAndForSeveral) {
  const Image scene = testing::MakeScene(61, 47);
  const auto one = DecodeImage(BytesOf(testing::EncodeJpeg(scene, testing::JpegKind::kBaseline)));
  ASSERT_THAT(one, IsOk());
  for (const auto kind : {testing::JpegKind::kProgressive, testing::JpegKind::kSeparate}) {
    const auto several = DecodeImage(BytesOf(testing::EncodeJpeg(scene, kind)));
    ASSERT_THAT(several, IsOk());
    EXPECT_EQ(several->rgb, one->rgb);
  }
}

TEST(DecodeImage, TakesImagesAtTheLimits) {
  const Image image = testing::MakeScene(40, 30);
  const std::string file = testing::EncodeJpeg(image, testing::JpegKind::kBaseline);
  EXPECT_THAT(DecodeImage(BytesOf(file), {.max_bytes = file.size(), .max_pixels = 1200, .max_side = 40}), IsOk());
}

TEST(DecodeImage, IgnoresBrokenMetadata) {
  const std::string plain = testing::EncodeJpeg(testing::MakeScene(40, 30), testing::JpegKind::kBaseline);
  for (const int orientation : {0, 9, 255}) {
    const auto image = DecodeImage(BytesOf(testing::WithOrientation(plain, orientation)));
    ASSERT_THAT(image, IsOk());
    EXPECT_EQ(image->width, 40);
  }
  const std::string cut = Png(PngHeader(1, 1, 8, 2) + PngChunk("eXIf", std::string("MM\0*\xff\xff\xff\xff", 8)) +
                              PngChunk("IDAT", kOneRow) + PngEnd());
  const auto image = DecodeImage(BytesOf(cut));
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(image->rgb, (std::vector<uint8_t>{0x10, 0x20, 0x30}));
}

}  // namespace
}  // namespace gwq
