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

TEST_P(GoldenProcessors, EqualTransformersForEveryPicture) {
  const json& golden = GoldenProcessor(GetParam());
  const auto processor = ParseGolden(golden);
  ASSERT_NE(processor, nullptr);
  for (const json& expected : golden["prepared"]) {
    const auto prepared = processor->Prepare(GoldenImage(expected["image"]));
    ASSERT_THAT(prepared, IsOk()) << expected["image"];
    EXPECT_EQ(prepared->patch_size_floats, expected["floats"]);
    ASSERT_EQ(std::ssize(prepared->patches), expected["floats"].get<int64_t>() * expected["rows"].get<int64_t>());
    EXPECT_EQ(HexSha256(std::as_bytes(std::span(prepared->patches))), expected["sha256"])
        << expected["image"] << ": samples differ by up to "
        << LargestDifference(expected["sample"], prepared->patches);

    const std::string text = processor->PromptText(*prepared);
    EXPECT_EQ(HexSha256(BytesOf(text)), expected["text_sha256"]) << text.substr(0, 200);
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

}  // namespace
}  // namespace gwq
