// Decoding and resizing against Pillow: equal bytes, so the tolerance is zero.
#include "core/vision/image.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "core/vision/resize.h"
#include "tests/core/vision/golden_images.h"
#include "tests/core/vision/made_images.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::BytesOf;
using testing::GoldenFile;
using testing::GoldenImage;
using testing::Goldens;
using testing::HexSha256;
using testing::IsOk;

// Of the golden's samples, which lie evenly spread.
int LargestDifference(const nlohmann::json& sample, const std::vector<uint8_t>& bytes) {
  int largest = 0;
  for (size_t i = 0; i < sample.size(); ++i) {
    const size_t at = bytes.size() * (2 * i + 1) / (2 * sample.size());
    largest = std::max(largest, std::abs(sample[i].get<int>() - bytes[at]));
  }
  return largest;
}

TEST(DecodeImage, EqualsPillowForEveryGoldenImage) {
  for (const auto& golden : Goldens()["images"]) {
    const std::string name = golden["name"];
    const Image image = GoldenImage(name);
    ASSERT_EQ(image.width, golden["width"]) << name;
    ASSERT_EQ(image.height, golden["height"]) << name;
    EXPECT_EQ(HexSha256(std::as_bytes(std::span(image.rgb))), golden["sha256"].get<std::string>())
        << name << ": samples differ by up to " << LargestDifference(golden["sample"], image.rgb) << " of 255";
  }
}

TEST(DecodeImage, GoldensHoldOddSizesOfAllFormats) {
  int jpeg = 0, png = 0, webp = 0;
  for (const auto& golden : Goldens()["images"]) {
    if (golden["width"].get<int>() % 2 == 0 || golden["height"].get<int>() % 2 == 0) continue;
    const std::string name = golden["name"];
    jpeg += name.ends_with(".jpg");
    png += name.ends_with(".png");
    webp += name.ends_with(".webp");
  }
  EXPECT_GE(jpeg + png + webp, 20);
  EXPECT_GE(std::min({jpeg, png, webp}), 4);
}

TEST(ReadImageHeader, SaysTheSizeThatDecodingGives) {
  for (const auto& golden : Goldens()["images"]) {
    const std::string name = golden["name"], file = GoldenFile(name);
    const auto header = ReadImageHeader(BytesOf(file));
    ASSERT_THAT(header, IsOk()) << name;
    EXPECT_EQ(header->width, golden["width"]) << name;
    EXPECT_EQ(header->height, golden["height"]) << name;
    const std::string ending = name.substr(name.find('.') + 1);
    EXPECT_EQ(ImageFormatName(header->format), ending == "jpg" ? "JPEG" : ending == "png" ? "PNG" : "WebP") << name;
  }
}

TEST(DecodeImage, TurnsByExifOfEitherByteOrder) {
  const std::string plain = testing::EncodeJpeg(testing::MakeScene(40, 30), testing::JpegKind::kBaseline);
  for (int orientation = 1; orientation <= 8; ++orientation) {
    const auto big = DecodeImage(BytesOf(testing::WithOrientation(plain, orientation)));
    const auto little =
        DecodeImage(BytesOf(testing::WithOrientation(plain, orientation, testing::ByteOrder::kLittleEndian)));
    ASSERT_THAT(big, IsOk());
    ASSERT_THAT(little, IsOk());
    EXPECT_EQ(big->width, orientation < 5 ? 40 : 30);
    EXPECT_EQ(little->width, big->width);
    EXPECT_EQ(little->rgb, big->rgb) << orientation;
  }
}

TEST(Resize, EqualsPillowWithEveryFilter) {
  for (const auto& golden : Goldens()["resized"]) {
    const Image image = GoldenImage(golden["image"]);
    const Image resized = Resize(image, golden["width"], golden["height"], Resample{golden["resample"].get<int>()});
    EXPECT_EQ(HexSha256(std::as_bytes(std::span(resized.rgb))), golden["sha256"].get<std::string>()) << golden;
  }
}

TEST(Resize, SameSizeIsACopy) {
  const Image image = GoldenImage("colour.png");
  EXPECT_EQ(Resize(image, image.width, image.height, Resample::kLanczos).rgb, image.rgb);
}

TEST(ResizeRows, AWindowIsTheSamePartOfTheWhole) {
  const Image image = GoldenImage("colour.png");
  const Image whole = Resize(image, 61, 200, Resample::kBicubic);
  const ResizeWindow window = {.left = 17, .top = 93, .width = 29, .height = 41};
  int rows = 0;
  ResizeRows(RowsOf(image), whole.width, whole.height, window, Resample::kBicubic, [&](int y, const uint8_t* row) {
    EXPECT_EQ(y, rows++);
    EXPECT_TRUE(std::equal(row, row + 3 * window.width, whole.Row(93 + y) + 3 * 17)) << "row " << y;
  });
  EXPECT_EQ(rows, window.height);
}

}  // namespace
}  // namespace gwq
