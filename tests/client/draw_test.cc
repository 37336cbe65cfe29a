#include "client/draw/draw.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <span>
#include <string>
#include <vector>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::HasCode;
using testing::IsOk;

// An image in which neighbours differ.
Image Scene(int width, int height) {
  Image image{.width = width, .height = height, .rgb = {}};
  for (int i = 0; i < width * height * 3; ++i) image.rgb.push_back(static_cast<uint8_t>(i * 37 + i / width));
  return image;
}

std::vector<uint8_t> PixelAt(const Image& image, int x, int y) {
  return {image.Row(y) + 3 * x, image.Row(y) + 3 * x + 3};
}

TEST(DrawBoxes, FramesEachBoxAndWritesItsLabel) {
  const std::vector<uint8_t> black = {0, 0, 0}, white = {255, 255, 255};
  Image image{.width = 80, .height = 60, .rgb = std::vector<uint8_t>(80 * 60 * 3)};
  const LabelledBox boxes[] = {{.label = "I\xc3\xa4", .box = {10, 20, 40, 50}}, {.label = "", .box = {50, 5, 70, 30}}};
  DrawBoxes(boxes, image);
  const auto first = PixelAt(image, 10, 20), second = PixelAt(image, 50, 5);
  EXPECT_NE(first, black);
  EXPECT_NE(second, black);
  EXPECT_NE(first, second);
  EXPECT_EQ(PixelAt(image, 39, 49), first) << "the last pixel inside";
  EXPECT_EQ(PixelAt(image, 40, 50), black) << "the first outside";
  EXPECT_EQ(PixelAt(image, 25, 35), black) << "the middle";
  // The plate stands on the frame: the letter I is white in its middle column, and nothing follows it.
  EXPECT_EQ(PixelAt(image, 10, 12), first);
  EXPECT_EQ(PixelAt(image, 10 + 1 + 2, 15), white);
  EXPECT_EQ(PixelAt(image, 10 + 1 + 6 + 2, 15), black);
}

TEST(DrawBoxes, FramesReachTheBordersOfTheImage) {
  Image image{.width = 9, .height = 7, .rgb = std::vector<uint8_t>(9 * 7 * 3)};
  const LabelledBox whole[] = {{.label = "", .box = {0, 0, 9, 7}}};
  DrawBoxes(whole, image);
  const auto corner = PixelAt(image, 0, 0);
  EXPECT_NE(corner, (std::vector<uint8_t>{0, 0, 0}));
  EXPECT_EQ(PixelAt(image, 8, 0), corner);
  EXPECT_EQ(PixelAt(image, 8, 6), corner);
}

TEST(DrawBoxes, PaintsNothingOutsideTheImage) {
  Image image = Scene(7, 5);
  const double huge = 1e300;
  const LabelledBox boxes[] = {{.label = std::string(5000, 'W'), .box = {-huge, -huge, huge, huge}},
                               {.label = "below", .box = {100, 100, 200, 200}},
                               {.label = "turned", .box = {5, 4, 1, 1}}};
  DrawBoxes(boxes, image);
  EXPECT_EQ(image.rgb.size(), 7u * 5 * 3);
}

TEST(EncodePng, ReadsBackAsItWas) {
  const Image image = Scene(123, 45);
  const auto file = EncodePng(image);
  ASSERT_THAT(file, IsOk());
  const auto back = DecodeImage(std::as_bytes(std::span(*file)));
  ASSERT_THAT(back, IsOk());
  EXPECT_EQ(back->width, 123);
  EXPECT_EQ(back->rgb, image.rgb);
  EXPECT_THAT(EncodePng(Image()), HasCode(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace gwq
