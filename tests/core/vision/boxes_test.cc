#include "core/vision/boxes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "tests/core/vision/golden_images.h"
#include "tests/core/vision/made_images.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::BytesOf;
using ::testing::ElementsAre;
using testing::HasCode;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::SizeIs;

PreparedImage Sizes(int width, int height, int resized_width, int resized_height) {
  PreparedImage image;
  image.original_width = width;
  image.original_height = height;
  image.resized_width = resized_width;
  image.resized_height = resized_height;
  return image;
}

const PreparedImage kImage = Sizes(2000, 1000, 1008, 504);

ParsedBoxes Parse(GroundingFormat format, std::string_view answer, const PreparedImage& image = kImage) {
  const auto parsed = ParseBoxes(format, answer, image);
  EXPECT_THAT(parsed, IsOk());
  return parsed.ok() ? *parsed : ParsedBoxes();
}
ParsedBoxes Qwen2(std::string_view answer) { return Parse(GroundingFormat::kQwen2Vl, answer); }
// 2000 x 1000 in the middle of a square.
ParsedBoxes Llava(std::string_view answer) {
  PreparedImage image = kImage;
  image.tiles = {{.patches_high = 24, .patches_wide = 24, .shows = {0, -500, 2000, 1500}}};
  return Parse(GroundingFormat::kLlava, answer, image);
}
ParsedBoxes Qwen25(std::string_view answer) { return Parse(GroundingFormat::kQwen25Vl, answer); }

std::vector<std::string> Labels(const ParsedBoxes& parsed) {
  std::vector<std::string> labels;
  for (const LabelledBox& box : parsed.boxes) labels.push_back(box.label);
  return labels;
}

TEST(ParseBoxes, ReadsQwen2WithLabels) {
  const ParsedBoxes parsed = Qwen2(
      "There: <|object_ref_start|>a red circle<|object_ref_end|><|box_start|>(100,200),(500,999)<|box_end|> and "
      "<|object_ref_start|> cats <|object_ref_end|><|box_start|>(0,0),(1,1)<|box_end|><|box_start|>( 2, 2 ), (3,3)"
      "<|box_end|> <|box_start|>(4,4),(5,5)<|box_end|> or <|box_start|>(6,6),(7,7)<|box_end|><|im_end|>");
  EXPECT_THAT(parsed.malformed, IsEmpty());
  EXPECT_THAT(Labels(parsed), ElementsAre("a red circle", "cats", "cats", "cats", ""));
  const PixelRect& box = parsed.boxes[0].box;
  EXPECT_NEAR(box.left, 201, 1e-9);  // the middle of [200, 202)
  EXPECT_NEAR(box.top, 200.5, 1e-9);
  EXPECT_NEAR(box.right, 1001, 1e-9);
  EXPECT_NEAR(box.bottom, 999.5, 1e-9);
}

TEST(ParseBoxes, ReadsQwen25InAListAFenceOrByThemselves) {
  for (const char* answer : {
           R"([{"bbox_2d": [504, 126, 1008, 252.5], "label": "dog"}, {"bbox_2d": [0, 0, 1, 1]}])",
           "Here it is:\n```json\n[\n\t{\"bbox_2d\": [504, 126, 1008, 252.5], \"label\": \"dog\"},\n"
           "\t{\"bbox_2d\": [0, 0, 1, 1]}\n]\n```\nAnything else?",
           "{\"bbox_2d\": [504, 126, 1008, 252.5], \"label\": \"dog\"}\n{\"bbox_2d\":[0,0,1,1]}",
       }) {
    const ParsedBoxes parsed = Qwen25(answer);
    EXPECT_THAT(parsed.malformed, IsEmpty()) << answer;
    ASSERT_THAT(Labels(parsed), ElementsAre("dog", "")) << answer;
    const PixelRect& box = parsed.boxes[0].box;
    EXPECT_NEAR(box.left, 1000, 1e-9);
    EXPECT_NEAR(box.top, 250, 1e-9);
    EXPECT_NEAR(box.right, 2000, 1e-9);
    EXPECT_NEAR(box.bottom, 252.5 * 1000 / 504, 1e-9);
  }
}

TEST(ParseBoxes, ReadsLlavaInHundredthsOfThePaddedSquare) {
  const ParsedBoxes parsed = Llava("At [0.25, 0.5, 0.50, 0.6], and [ 0,0.25,1 , 0.75 ] [sic] as [1] says.");
  EXPECT_THAT(parsed.malformed, IsEmpty());
  ASSERT_THAT(Labels(parsed), ElementsAre("", ""));
  const PixelRect& box = parsed.boxes[0].box;
  EXPECT_NEAR(box.left, 500, 1e-9);
  EXPECT_NEAR(box.top, 500, 1e-9);
  EXPECT_NEAR(box.right, 1000, 1e-9);
  EXPECT_NEAR(box.bottom, 700, 1e-9);
  EXPECT_EQ(parsed.boxes[1].box.right, 2000);
  EXPECT_EQ(parsed.boxes[1].box.bottom, 1000);
  // 0.246 of the square is 8 pixels above the image, and half a hundredth is 10.
  const ParsedBoxes rounded = Llava("[0.1, 0.246, 0.2, 0.754]");
  ASSERT_THAT(rounded.boxes, SizeIs(1));
  EXPECT_EQ(rounded.boxes[0].box.top, 0);
  EXPECT_EQ(rounded.boxes[0].box.bottom, 1000);
}

TEST(ParseBoxes, BracesInALabelAreText) {
  const ParsedBoxes parsed = Qwen25(R"([{"bbox_2d": [1, 2, 3, 4], "label": "a } \" { sign"}])");
  EXPECT_THAT(Labels(parsed), ElementsAre("a } \" { sign"));
}

TEST(ParseBoxes, AnAnswerWithoutBoxesHasNone) {
  for (const char* answer : {"", "I see no dog.", "[]", "[1]", "[ 1 ]", "[1 ", "[a, b]", "[", "(1,2),(3,4)",
                             "<|object_ref_start|>dog<|object_ref_end|>"}) {
    for (const ParsedBoxes& parsed : {Qwen2(answer), Qwen25(answer), Llava(answer)}) {
      EXPECT_THAT(parsed.boxes, IsEmpty()) << answer;
      EXPECT_THAT(parsed.malformed, IsEmpty()) << answer;
    }
  }
}

struct Bad {
  const char* text;  // all of the answer
  const char* reason;
};

TEST(ParseBoxes, ReportsMalformedQwen2BoxesAndKeepsTheOthers) {
  const Bad bad[] = {
      {"<|box_start|>(1,2),(3,4)", "<|box_end|> is missing"},
      {"<|box_start|><|box_end|>", "is not (x1,y1),(x2,y2)"},
      {"<|box_start|>(1,2)<|box_end|>", "is not (x1,y1),(x2,y2)"},
      {"<|box_start|>(1,2),(3)<|box_end|>", "is not (x1,y1),(x2,y2)"},
      {"<|box_start|>(1,2),(3,x)<|box_end|>", "is not (x1,y1),(x2,y2)"},
      {"<|box_start|>(1,2),(3,4),(5,6)<|box_end|>", "is not (x1,y1),(x2,y2)"},
      {"<|box_start|>(1.5,2),(3,4)<|box_end|>", "is not (x1,y1),(x2,y2)"},
      {"<|box_start|>(1,2),(3,99999999999999999999)<|box_end|>", "is not (x1,y1),(x2,y2)"},
      {"<|box_start|>(1,2),(1000,4)<|box_end|>", "1000 is outside the image: values of x are in [0, 999]"},
      {"<|box_start|>(1,-2),(3,4)<|box_end|>", "-2 is outside the image: values of y"},
      {"<|box_start|>(3,2),(3,4)<|box_end|>", "has no area"},
      {"<|box_start|>(5,2),(3,4)<|box_end|>", "has no area"},
  };
  for (const auto& [text, reason] : bad) {
    const ParsedBoxes alone = Qwen2(text);
    EXPECT_THAT(alone.boxes, IsEmpty()) << text;
    ASSERT_THAT(alone.malformed, SizeIs(1)) << text;
    EXPECT_EQ(alone.malformed[0].text, text);
    EXPECT_THAT(alone.malformed[0].reason, HasSubstr(reason));

    const std::string good = "<|box_start|>(1,2),(3,4)<|box_end|>";
    const ParsedBoxes between = Qwen2(good + text + good);
    EXPECT_THAT(between.boxes, SizeIs(2)) << text;
    EXPECT_THAT(between.malformed, SizeIs(1)) << text;
  }
}

TEST(ParseBoxes, ReportsMalformedQwen25BoxesAndKeepsTheOthers) {
  const Bad bad[] = {
      {R"({"bbox_2d": [1, 2, 3], "label": "a"})", "four numbers"},
      {R"({"bbox_2d": [1, 2, 3, "4"], "label": "a"})", "four numbers"},
      {R"({"bbox_2d": "1 2 3 4"})", "four numbers"},
      {R"({"point_2d": [1, 2], "label": "a"})", "no field bbox_2d"},
      {R"({"bbox_2d": [1, 2, 3, 4], "label": 5})", "label is not a string"},
      {R"({"bbox_2d": [1, 2, 3, 4,], "label": "a"})", "box"},
      {R"({"bbox_2d": [1, 2, 1009, 4]})", "1009 is outside the resized image: values of x are in [0, 1008]"},
      {R"({"bbox_2d": [1, -0.5, 2, 4]})", "-0.5 is outside"},
      {R"({"bbox_2d": [1, 2, 3, 504.5]})", "504.5 is outside"},
      {R"({"bbox_2d": [1, 2, 1, 4]})", "no area"},
      {R"({"bbox_2d": [1, 4, 3, 2]})", "no area"},
      {R"({"bbox_2d": [1, 2, 1e999, 4]})", "box"},
  };
  for (const auto& [text, reason] : bad) {
    const std::string good = R"({"bbox_2d": [1, 2, 3, 4]})";
    const ParsedBoxes parsed = Qwen25("[" + good + ", " + text + ", " + good + "]");
    EXPECT_THAT(parsed.boxes, SizeIs(2)) << text;
    ASSERT_THAT(parsed.malformed, SizeIs(1)) << text;
    EXPECT_EQ(parsed.malformed[0].text, text);
    EXPECT_THAT(parsed.malformed[0].reason, HasSubstr(reason));
  }
  const ParsedBoxes cut = Qwen25(R"([{"bbox_2d": [1, 2, 3, 4]}, {"bbox_2d": [1, 2)");
  EXPECT_THAT(cut.boxes, SizeIs(1));
  ASSERT_THAT(cut.malformed, SizeIs(1));
  EXPECT_EQ(cut.malformed[0].text, R"({"bbox_2d": [1, 2)");
}

TEST(ParseBoxes, ReportsMalformedLlavaBoxesAndKeepsTheOthers) {
  const Bad bad[] = {
      {"[0.1, 0.3, 0.2]", "is not [x1, y1, x2, y2]"},
      {"[0.1, 0.3, 0.2, 0.4, 0.5]", "is not [x1, y1, x2, y2]"},
      {"[0.1, 0.3, 0.2, x]", "is not [x1, y1, x2, y2]"},
      {"[0.1, , 0.2, 0.4]", "is not [x1, y1, x2, y2]"},
      {"[0.1, 0.3, 0.2, nan]", "is not [x1, y1, x2, y2]"},
      {"[0.1, 0.3, 0.2, 4e-1]", "is not [x1, y1, x2, y2]"},
      {"[0.1, 0.3, 1.01, 0.4]", "1.01 is outside the square that the model sees: values of x are in [0, 1]"},
      {"[-0.1, 0.3, 0.2, 0.4]", "-0.1 is outside"},
      {"[0.1, 0.2, 0.2, 0.4]", "-100 is outside the image"},
      {"[0.1, 0.244, 0.2, 0.4]", "-12 is outside the image"},  // 0.5 of a hundredth is 10 pixels
      {"[0.1, 0.3, 0.2, 0.756]", "1012 is outside the image"},
      {"[0.2, 0.3, 0.2, 0.4]", "has no area"},
      {"[0.1, 0.4, 0.2, 0.3]", "has no area"},
      {"[0.1, 0.3", "] is missing"},
  };
  for (const auto& [text, reason] : bad) {
    const std::string good = "[0.1, 0.3, 0.2, 0.4]";
    const ParsedBoxes parsed = Llava(good + text + good);
    EXPECT_THAT(parsed.boxes, SizeIs(2)) << text;
    ASSERT_THAT(parsed.malformed, SizeIs(1)) << text;
    EXPECT_EQ(parsed.malformed[0].text, text);
    EXPECT_THAT(parsed.malformed[0].reason, HasSubstr(reason));
  }
  ASSERT_THAT(Llava("[0.1, 0.3").malformed, SizeIs(1));
}

TEST(ParseBoxes, AFamilyWithoutAFormatSaysSo) {
  EXPECT_THAT(ParseBoxes(GroundingFormat::kNone, "", kImage), HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(FormatBox(GroundingFormat::kNone, {}, kImage), HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(ParseBoxes(GroundingFormat::kQwen25Vl, "", PreparedImage()), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(FormatBox(GroundingFormat::kQwen2Vl, {.label = "a", .box = {0, 0, 2001, 5}}, kImage),
              HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseBoxes(GroundingFormat::kLlava, "", kImage), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(FormatBox(GroundingFormat::kLlava, {.label = "a", .box = {0, 0, 20, 5}}, kImage),
              HasCode(absl::StatusCode::kInvalidArgument));
}

struct Family {
  const char* name;
  const char* config;
  const char* preprocessor;
  GroundingFormat format;
};

// The part of the image that the model sees, and a step of the format in its pixels.
struct Frame {
  PixelRect seen;
  double step_x = 0, step_y = 0;
};

Frame FrameOf(GroundingFormat format, const PreparedImage& image) {
  const PixelRect& shows = image.tiles[0].shows;
  const double width = image.original_width, height = image.original_height;
  switch (format) {
    case GroundingFormat::kQwen2Vl:
      return {{0, 0, width, height}, width / 1000, height / 1000};
    case GroundingFormat::kQwen25Vl:
      return {{0, 0, width, height}, width / image.resized_width, height / image.resized_height};
    default:
      return {{std::max(0.0, shows.left), std::max(0.0, shows.top), std::min(width, shows.right),
               std::min(height, shows.bottom)},
              (shows.right - shows.left) / 100,
              (shows.bottom - shows.top) / 100};
  }
}

constexpr char kLlavaConfig[] = R"({"model_type": "llava", "vision_config": {"patch_size": 14}})";

class BoxesMapBack : public ::testing::TestWithParam<Family> {};

// Tolerance: half a step of the format, and half a pixel.
TEST_P(BoxesMapBack, WithinHalfAStepOverRandomImages) {
  const Family& family = GetParam();
  const auto processor = ImageProcessor::Parse(
      {.config = family.config, .preprocessor_config = family.preprocessor, .processor_config = ""});
  ASSERT_THAT(processor, IsOk());
  ASSERT_EQ((*processor)->grounding(), family.format);
  std::mt19937 random(7);
  int tried = 0;
  while (tried < 1000) {
    const auto side = [&] { return static_cast<int>(std::exp(std::uniform_real_distribution(3.0, 9.0)(random))); };
    const int width = side(), height = side();
    const auto image = (*processor)->Plan(width, height);
    if (!image.ok()) continue;  // too long for the family
    const auto [seen, step_x, step_y] = FrameOf(family.format, *image);
    // A strip of a padded square that a box of two steps does not fit in.
    if (seen.right - seen.left < 2 * step_x || seen.bottom - seen.top < 2 * step_y) continue;
    ++tried;
    // At least two steps wide, so that it stays a box; borders and the whole image among them.
    const auto edges = [&](double first, double last, double step) {
      double low = std::uniform_real_distribution(first, last - 2 * step)(random);
      double high = std::uniform_real_distribution(low + 2 * step, last)(random);
      if (random() % 8 == 0) low = first;
      if (random() % 8 == 0) high = last;
      return std::pair(low, std::min(high, last));
    };
    const auto [left, right] = edges(seen.left, seen.right, step_x);
    const auto [top, bottom] = edges(seen.top, seen.bottom, step_y);
    const LabelledBox box = {.label = "it", .box = {left, top, right, bottom}};
    const auto text = FormatBox(family.format, box, *image);
    ASSERT_THAT(text, IsOk());
    const ParsedBoxes parsed = Parse(family.format, *text, *image);
    ASSERT_THAT(parsed.boxes, SizeIs(1)) << *text << " of " << width << " x " << height;
    const PixelRect& back = parsed.boxes[0].box;
    EXPECT_EQ(parsed.boxes[0].label, family.format == GroundingFormat::kLlava ? "" : "it");
    EXPECT_LE(std::max(std::abs(back.left - left), std::abs(back.right - right)), step_x / 2 + 0.5) << *text;
    EXPECT_LE(std::max(std::abs(back.top - top), std::abs(back.bottom - bottom)), step_y / 2 + 0.5) << *text;
    EXPECT_GE(std::min(back.left, back.top), 0);
    EXPECT_LE(back.right, width);
    EXPECT_LE(back.bottom, height);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, BoxesMapBack,
                         ::testing::Values(Family{"Qwen2", R"({"model_type": "qwen2_vl"})",
                                                  R"({"max_pixels": 1003520})", GroundingFormat::kQwen2Vl},
                                           Family{"Qwen25", R"({"model_type": "qwen2_5_vl"})",
                                                  R"({"max_pixels": 1003520})", GroundingFormat::kQwen25Vl},
                                           Family{"LlavaCropped", kLlavaConfig,
                                                  R"({"size": {"shortest_edge": 336},
                                                      "crop_size": {"height": 336, "width": 336}})",
                                                  GroundingFormat::kLlava},
                                           Family{"LlavaPadded", kLlavaConfig,
                                                  R"({"image_processor_type": "LlavaImageProcessor", "do_pad": true,
                                                      "size": {"shortest_edge": 336},
                                                      "crop_size": {"height": 336, "width": 336}})",
                                                  GroundingFormat::kLlava}),
                         [](const auto& info) { return info.param.name; });

TEST(IntersectionOverUnion, IsTheShareOfBoth) {
  const PixelRect a = {0, 0, 10, 10};
  EXPECT_EQ(IntersectionOverUnion(a, a), 1);
  EXPECT_DOUBLE_EQ(IntersectionOverUnion(a, {5, 0, 15, 10}), 50.0 / 150);
  EXPECT_EQ(IntersectionOverUnion(a, {10, 0, 20, 10}), 0);
  EXPECT_EQ(IntersectionOverUnion(a, {20, 20, 30, 30}), 0);
  EXPECT_EQ(IntersectionOverUnion({}, {}), 0);
}

}  // namespace
}  // namespace gwq
