// Processors against transformers' PIL processors: equal floats, so the tolerance is zero.
#include "core/vision/image_processor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "tests/core/vision/golden_images.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::BytesOf;
using testing::FailsAt;
using testing::GoldenImage;
using testing::Goldens;
using testing::HasCode;
using testing::HexSha256;
using testing::IsOk;

std::unique_ptr<const ImageProcessor> ParseGolden(const json& golden) {
  const std::string config = golden["config"].dump(), file = golden["preprocessor_config"].dump();
  auto processor = ImageProcessor::Parse({.config = config, .preprocessor_config = file, .processor_config = ""});
  EXPECT_THAT(processor, IsOk()) << golden["name"];
  return processor.ok() ? *std::move(processor) : nullptr;
}

const json& GoldenProcessor(std::string_view name) {
  return *std::ranges::find_if(Goldens()["processors"], [&](const json& golden) { return golden["name"] == name; });
}

double LargestDifference(const json& sample, const std::vector<float>& values) {
  double largest = 0;
  for (size_t i = 0; i < sample.size(); ++i) {
    const size_t at = values.size() * (2 * i + 1) / (2 * sample.size());
    largest = std::max(largest, std::abs(sample[i].get<double>() - values[at]));
  }
  return largest;
}

class GoldenProcessors : public ::testing::TestWithParam<std::string> {};

TEST_P(GoldenProcessors, EqualTransformersForEveryImage) {
  const json& golden = GoldenProcessor(GetParam());
  const auto processor = ParseGolden(golden);
  ASSERT_NE(processor, nullptr);
  for (const json& expected : golden["prepared"]) {
    const auto prepared = processor->Prepare(GoldenImage(expected["image"]));
    ASSERT_THAT(prepared, IsOk()) << expected["image"];
    EXPECT_EQ(prepared->patch_size_floats, expected["floats"]);
    ASSERT_EQ(std::ssize(prepared->patches), expected["floats"].get<int64_t>() * expected["rows"].get<int64_t>());
    EXPECT_EQ(HexSha256(std::as_bytes(std::span(prepared->patches))), expected["sha256"].get<std::string>())
        << expected["image"] << ": samples differ by up to "
        << LargestDifference(expected["sample"], prepared->patches);

    const std::string text = processor->PromptText(*prepared);
    EXPECT_EQ(HexSha256(BytesOf(text)), expected["text_sha256"].get<std::string>()) << text.substr(0, 200);
    EXPECT_EQ(prepared->image_tokens, expected["marker_count"]);
  }
}

TEST_P(GoldenProcessors, PlanIsPrepareWithoutPixels) {
  const json& golden = GoldenProcessor(GetParam());
  const auto processor = ParseGolden(golden);
  ASSERT_NE(processor, nullptr);
  for (const json& expected : golden["prepared"]) {
    Image image = GoldenImage(expected["image"]);
    const auto plan = processor->Plan(image.width, image.height);
    const auto prepared = processor->Prepare(std::move(image));
    ASSERT_THAT(plan, IsOk());
    ASSERT_THAT(prepared, IsOk());
    EXPECT_TRUE(plan->patches.empty());
    EXPECT_EQ(plan->image_tokens, prepared->image_tokens);
    ASSERT_EQ(plan->tiles.size(), prepared->tiles.size());
    int64_t rows = 0;
    for (const ImageTile& tile : prepared->tiles) {
      EXPECT_EQ(tile.first_patch, rows);
      rows += tile.patches_high * tile.patches_wide;
    }
    EXPECT_EQ(rows, expected["rows"]);
    const bool grid_of_tiles = prepared->tile_rows > 0 || processor->family() == VisionFamily::kIdefics3;
    EXPECT_EQ(grid_of_tiles ? prepared->tile_rows : prepared->tiles[0].patches_high, expected["grid"][0]);
    EXPECT_EQ(grid_of_tiles ? prepared->tile_columns : prepared->tiles[0].patches_wide, expected["grid"][1]);
  }
}

std::vector<std::string> GoldenNames() {
  std::vector<std::string> names;
  for (const json& golden : Goldens()["processors"]) names.push_back(golden["name"]);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Families, GoldenProcessors, ::testing::ValuesIn(GoldenNames()), [](const auto& info) {
  std::string name = info.param;
  std::ranges::replace_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; }, '_');
  return name;
});

absl::StatusOr<std::unique_ptr<const ImageProcessor>> Parse(const json& config, const json& preprocessor,
                                                            std::string_view processor = "") {
  const std::string config_text = config.dump();
  const std::string file = preprocessor.is_null() ? "" : preprocessor.dump();
  return ImageProcessor::Parse({.config = config_text, .preprocessor_config = file, .processor_config = processor});
}

const json kQwen = {{"model_type", "qwen2_vl"}};
const json kSmolVlm = {{"model_type", "smolvlm"}, {"scale_factor", 4}, {"vision_config", {{"patch_size", 16}}}};
const json kLlava = {{"model_type", "llava"}, {"vision_config", {{"patch_size", 14}}}};

TEST(ParseProcessor, SaysWhichFileIsMissing) {
  const auto missing = Parse(kQwen, nullptr);
  EXPECT_THAT(missing, FailsAt("preprocessor_config.json"));
  EXPECT_NE(MessageOf(missing.status()).find("upload the file with the model"), std::string_view::npos);
  EXPECT_THAT(Parse(kQwen, nullptr, R"({"processor_class": "Qwen2VLProcessor"})"), FailsAt("preprocessor_config.json"));
}

TEST(ParseProcessor, ReadsTheFileOfTransformers5) {
  const auto processor = Parse(kQwen, nullptr,
                               R"({"image_processor": {"image_processor_type": "Qwen2VLImageProcessorFast",
                                   "patch_size": 8, "size": {"shortest_edge": 256, "longest_edge": 4096}}})");
  ASSERT_THAT(processor, IsOk());
  EXPECT_EQ((*processor)->Plan(64, 64)->patch_size_floats, 2 * 3 * 8 * 8);
}

TEST(ParseProcessor, RefusesUnknownProcessorsAndModels) {
  const auto unknown = Parse(kQwen, {{"image_processor_type", "PixtralImageProcessor"}});
  EXPECT_THAT(unknown, FailsAt("preprocessor_config.json.image_processor_type"));
  EXPECT_NE(MessageOf(unknown.status()).find("Qwen2VLImageProcessor"), std::string_view::npos);
  EXPECT_THAT(Parse(kLlava, {{"image_processor_type", "Qwen2VLImageProcessor"}}),
              FailsAt("preprocessor_config.json.image_processor_type"));
  EXPECT_THAT(Parse({{"model_type", "llama"}}, json::object()), HasCode(absl::StatusCode::kUnimplemented));
}

struct BadSetting {
  json config;
  json file;
  const char* field;
};

TEST(ParseProcessor, NamesTheFieldThatIsWrong) {
  const BadSetting settings[] = {
      {kQwen, {{"patch_size", 0}}, "preprocessor_config.json.patch_size"},
      {kQwen, {{"patch_size", "14"}}, "preprocessor_config.json.patch_size"},
      {kQwen, {{"min_pixels", 1e15}}, "preprocessor_config.json.min_pixels"},
      {kQwen, {{"max_pixels", std::numeric_limits<uint64_t>::max()}}, "preprocessor_config.json.max_pixels"},
      {kQwen, {{"min_pixels", 5000}, {"max_pixels", 4000}}, "preprocessor_config.json.size"},
      {kQwen, {{"size", 224}}, "preprocessor_config.json.size"},
      {kQwen, {{"resample", 6}}, "preprocessor_config.json.resample"},
      {kQwen, {{"image_mean", {0.5, 0.5}}}, "preprocessor_config.json.image_mean"},
      {kQwen, {{"image_std", {0.5, 0, 0.5}}}, "preprocessor_config.json.image_std"},
      {kQwen, {{"do_rescale", 1}}, "preprocessor_config.json.do_rescale"},
      {{{"model_type", "qwen2_vl"}, {"vision_config", {{"spatial_merge_size", 4}}}},
       json::object(),
       "preprocessor_config.json.merge_size"},
      {kSmolVlm, {{"max_image_size", {{"longest_edge", 500}}}}, "preprocessor_config.json.max_image_size.longest_edge"},
      {kSmolVlm, {{"size", {{"longest_edge", -1}}}}, "preprocessor_config.json.size.longest_edge"},
      {kLlava, {{"crop_size", {{"height", 0}, {"width", 4}}}}, "preprocessor_config.json.crop_size.height"},
      {{{"model_type", "llava"}, {"vision_feature_select_strategy", "some"}},
       json::object(),
       "config.json.vision_feature_select_strategy"},
  };
  for (const BadSetting& setting : settings) {
    EXPECT_THAT(Parse(setting.config, setting.file), FailsAt(setting.field)) << setting.file;
  }
  const json tile = {{"max_image_size", {{"longest_edge", 512}}}};
  EXPECT_THAT(Parse(kSmolVlm, tile, R"({"image_seq_len": 81})"), FailsAt("processor_config.json.image_seq_len"));
  EXPECT_THAT(Parse(kSmolVlm, tile, R"({"image_seq_len": 64})"), IsOk());
}

TEST(ParseProcessor, SaysWhatIsNotSupported) {
  EXPECT_THAT(Parse(kQwen, {{"do_resize", false}}), HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(Parse(kQwen, {{"resample", 0}}), HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(Parse(kLlava, {{"do_pad", true}}), HasCode(absl::StatusCode::kUnimplemented));
  EXPECT_THAT(Parse(kLlava, {{"size", {{"shortest_edge", 224}, {"longest_edge", 800}}}}),
              HasCode(absl::StatusCode::kUnimplemented));
}

TEST(ParseProcessor, TakesSizesUnderTheNamesOfEveryVersion) {
  const json top = {{"min_pixels", 3136}, {"max_pixels", 6272}};
  const json edges = {{"size", {{"shortest_edge", 3136}, {"longest_edge", 6272}}}};
  const json pixels = {{"size", {{"min_pixels", 3136}, {"max_pixels", 6272}}}};
  for (const json& file : {top, edges, pixels}) {
    const auto processor = Parse(kQwen, file);
    ASSERT_THAT(processor, IsOk());
    EXPECT_EQ((*processor)->Plan(500, 500)->resized_width, 56) << file;
  }
}

TEST(PlanImage, RefusesShapesThatBecomeTooMuch) {
  const auto qwen = Parse(kQwen, json::object());
  ASSERT_THAT(qwen, IsOk());
  EXPECT_THAT((*qwen)->Plan(201, 1), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT((*qwen)->Plan(200, 1), IsOk());
  EXPECT_THAT((*qwen)->Plan(0, 5), HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT((*qwen)->Prepare({.width = 4, .height = 4, .rgb = {1, 2, 3}}),
              HasCode(absl::StatusCode::kInvalidArgument));
  const auto uncropped = Parse(kLlava, {{"do_center_crop", false}});
  ASSERT_THAT(uncropped, IsOk());
  EXPECT_THAT((*uncropped)->Plan(16384, 1), HasCode(absl::StatusCode::kInvalidArgument));
}

TEST(PlanImage, CroppedAwayPartsAreNeverResized) {
  // All of it would be 3.7 million columns.
  const auto processor = Parse(kLlava, json::object());
  ASSERT_THAT(processor, IsOk());
  const Image thin{.width = 16384, .height = 1, .rgb = std::vector<uint8_t>(3 * 16384, 7)};
  const auto prepared = (*processor)->Prepare(thin);
  ASSERT_THAT(prepared, IsOk());
  EXPECT_EQ(prepared->image_tokens, 256);
  EXPECT_NEAR(prepared->tiles[0].shows.left, 8191.5, 1e-6);
  EXPECT_NEAR(prepared->tiles[0].shows.right, 8192.5, 1e-6);
}

TEST(PlanImage, TilesShowTheirPartOfTheOriginal) {
  const auto smolvlm =
      Parse(kSmolVlm, {{"size", {{"longest_edge", 1024}}}, {"max_image_size", {{"longest_edge", 512}}}});
  ASSERT_THAT(smolvlm, IsOk());
  const auto plan = (*smolvlm)->Plan(300, 100);
  ASSERT_THAT(plan, IsOk());
  EXPECT_EQ(plan->tile_rows, 1);
  EXPECT_EQ(plan->tile_columns, 2);
  ASSERT_EQ(plan->tiles.size(), 3u);
  EXPECT_EQ(plan->tiles[1].shows.left, 150);
  EXPECT_EQ(plan->tiles[1].shows.right, 300);
  EXPECT_EQ(plan->tiles[2].shows.right, 300);

  const auto square = Parse(kLlava, {{"image_processor_type", "LlavaImageProcessor"}, {"do_pad", true}});
  ASSERT_THAT(square, IsOk());
  const PixelRect shows = (*square)->Plan(100, 60)->tiles[0].shows;
  EXPECT_EQ(shows.left, 0);
  EXPECT_EQ(shows.top, -20);
  EXPECT_EQ(shows.bottom, 80);
}

}  // namespace
}  // namespace gwq
