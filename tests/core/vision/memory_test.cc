// What decoding and preprocessing hold at most, counted at malloc, the libraries' buffers included. Scratch memory,
// which is a file, is not counted.
#include <gtest/gtest.h>

#include <utility>

#include "core/vision/image.h"
#include "core/vision/image_processor.h"
#include "core/vision/resize.h"
#include "tests/core/vision/counting_malloc.h"
#include "tests/core/vision/golden_images.h"
#include "tests/core/vision/made_images.h"
#include "tests/support/png_file.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::BytesOf;
using testing::EncodeInterlacedPng;
using testing::EncodeJpeg;
using testing::EncodeWebp;
using testing::GoldenFile;
using testing::HasCode;
using testing::IsOk;
using testing::JpegKind;
using testing::MakeScene;
using testing::PeakHeap;
using testing::WebpKind;
using testing::WithOrientation;

constexpr int kWidth = 2403, kHeight = 1601;
constexpr int64_t kImageBytes = int64_t{3} * kWidth * kHeight;  // 11.5 MB
constexpr int64_t kRows = 1 << 20;                              // rows and tables of the libraries

int64_t PeakOfDecoding(const std::string& file) {
  const PeakHeap peak;
  const auto image = DecodeImage(BytesOf(file));
  EXPECT_THAT(image, IsOk());
  EXPECT_GE(peak.bytes(), kImageBytes) << "the counter counts";
  return peak.bytes();
}

TEST(DecodingMemory, IsOneImage) {
  const Image scene = MakeScene(kWidth, kHeight);
  const std::string png = testing::PngFile(kWidth, kHeight, [&](int x, int y) {
    const uint8_t* pixel = scene.Row(y) + 3 * x;
    return testing::Rgb{pixel[0], pixel[1], pixel[2]};
  });
  EXPECT_LE(PeakOfDecoding(png), kImageBytes + kRows);
  EXPECT_LE(PeakOfDecoding(EncodeInterlacedPng(scene)), kImageBytes + kRows);
  EXPECT_LE(PeakOfDecoding(EncodeJpeg(scene, JpegKind::kBaseline)), kImageBytes + kRows);
  EXPECT_LE(PeakOfDecoding(EncodeJpeg(scene, JpegKind::kProgressive)), kImageBytes + kRows);
  EXPECT_LE(PeakOfDecoding(EncodeJpeg(scene, JpegKind::kSeparate)), kImageBytes + kRows);
  EXPECT_LE(PeakOfDecoding(EncodeWebp(scene, WebpKind::kLossy)), kImageBytes + kRows);
  EXPECT_LE(PeakOfDecoding(EncodeWebp(scene, WebpKind::kLossyWithAlpha)), kImageBytes + kRows);
}

TEST(DecodingMemory, IsOneImageWhileItIsTurned) {
  const std::string jpeg = EncodeJpeg(MakeScene(kWidth, kHeight), JpegKind::kBaseline);
  for (const int orientation : {2, 6}) {
    EXPECT_LE(PeakOfDecoding(WithOrientation(jpeg, orientation)), kImageBytes + kRows) << orientation;
  }
}

TEST(DecodingMemory, OfLosslessWebpIsOneImageOfFourBytesAPixel) {
  EXPECT_LE(PeakOfDecoding(EncodeWebp(MakeScene(kWidth, kHeight), WebpKind::kLossless)), kImageBytes / 3 * 4 + kRows);
}

TEST(DecodingMemory, IsNothingForAnImageOverTheLimit) {
  const std::string file = GoldenFile("100-megapixels.png");
  EXPECT_LT(file.size(), 16'000u);
  const PeakHeap peak;
  EXPECT_THAT(DecodeImage(BytesOf(file)), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_LT(peak.bytes(), 100'000);
}

struct Processor {
  const char* name;
  const char* config;
  const char* preprocessor_config;
};

constexpr Processor kProcessors[] = {
    {"Qwen2-VL", R"({"model_type": "qwen2_vl"})", R"({"max_pixels": 12845056})"},
    {"SmolVLM", R"({"model_type": "smolvlm", "scale_factor": 4, "vision_config": {"patch_size": 16}})",
     R"({"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}})"},
    {"LLaVA", R"({"model_type": "llava", "vision_config": {"patch_size": 14}})",
     R"({"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}})"},
    {"LLaVA, squared", R"({"model_type": "llava", "vision_config": {"patch_size": 14}})",
     R"({"image_processor_type": "LlavaImageProcessor", "do_pad": true, "size": {"shortest_edge": 336},
         "crop_size": {"height": 336, "width": 336}})"},
};

TEST(PreparingMemory, IsTheGivenImageTheResizedOneAndThePatches) {
  for (const auto& [name, config, file] : kProcessors) {
    const auto processor =
        ImageProcessor::Parse({.config = config, .preprocessor_config = file, .processor_config = ""});
    ASSERT_THAT(processor, IsOk()) << name;
    const PeakHeap peak;
    const auto prepared = (*processor)->Prepare(MakeScene(kWidth, kHeight));
    ASSERT_THAT(prepared, IsOk()) << name;
    const auto patches = static_cast<int64_t>(prepared->patches.size() * sizeof(float));
    const int64_t resized = int64_t{3} * prepared->resized_width * prepared->resized_height;
    EXPECT_LE(peak.bytes(), kImageBytes + resized + patches + kRows) << name;
    EXPECT_GE(peak.bytes(), kImageBytes + patches) << name;
  }
}

TEST(ResizingMemory, IsAFewRowsForAThinImage) {
  for (const auto& [width, height] : {std::pair(16384, 3), std::pair(3, 16384)}) {
    const Image image = MakeScene(width, height);
    const PeakHeap peak;
    const Image resized = Resize(image, 64, 64, Resample::kLanczos);
    EXPECT_LE(peak.bytes(), kRows) << width << " x " << height;
  }
}

}  // namespace
}  // namespace gwq
