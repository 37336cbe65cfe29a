// What the plan of an image promises, over sizes that are drawn and settings that are odd.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "core/base/status.h"
#include "core/vision/image_processor.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

const json kQwen = {{"model_type", "qwen2_vl"}};
const json kSmolVlm = {{"model_type", "idefics3"}, {"scale_factor", 4}, {"vision_config", {{"patch_size", 16}}}};
const json kLlava = {{"model_type", "llava"}, {"vision_config", {{"patch_size", 14}}}};

absl::StatusOr<std::unique_ptr<const ImageProcessor>> Parse(const json& config, const json& settings,
                                                            const ProcessorLimits& limits = {}) {
  const std::string text = config.dump(), file = settings.dump();
  return ImageProcessor::Parse({.config = text, .preprocessor_config = file, .processor_config = ""}, limits);
}

std::unique_ptr<const ImageProcessor> Processor(const json& config, const json& settings) {
  auto processor = Parse(config, settings);
  EXPECT_THAT(processor, IsOk());
  return *std::move(processor);
}

int64_t Count(std::string_view text, std::string_view part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

// Sides from 1 pixel to 4,000, small ones as likely as large ones.
int Side(std::mt19937& random) { return 1 + static_cast<int>(random() % (1u << (random() % 12 + 1))) % 4000; }

struct Plans {
  json config;
  json settings;
  int64_t patches_a_token;
};

TEST(PlanImage, TilesTokensAndThePromptsTextFitEachOther) {
  const Plans families[] = {
      {kQwen, json::object(), 4},
      {kQwen, {{"min_pixels", 1}, {"max_pixels", 784}}, 4},
      {kSmolVlm, {{"max_image_size", {{"longest_edge", 64}}}, {"size", {{"longest_edge", 200}}}}, 16},
      {kLlava, json::object(), 1},
      {kLlava, {{"do_center_crop", false}, {"size", {{"height", 50}, {"width", 31}}}}, 1}};
  std::mt19937 random(5);
  for (const auto& [config, settings, patches_a_token] : families) {
    const auto processor = Processor(config, settings);
    for (int round = 0; round < 400; ++round) {
      const int width = Side(random), height = Side(random);
      const auto plan = processor->Plan(width, height);
      if (!plan.ok() && std::max(width, height) > 200 * std::min(width, height)) continue;
      ASSERT_THAT(plan, IsOk()) << width << " x " << height << " " << settings;
      int64_t patches = 0;
      for (const ImageTile& tile : plan->tiles) {
        EXPECT_EQ(tile.first_patch, patches);
        patches += tile.patches_high * tile.patches_wide;
      }
      EXPECT_EQ(plan->image_tokens * patches_a_token, patches) << width << " x " << height << " " << settings;
      EXPECT_EQ(Count(processor->PromptText(*plan), processor->marker()), plan->image_tokens);
      EXPECT_EQ(plan->original_width, width);
      EXPECT_EQ(plan->original_height, height);
    }
  }
}

TEST(PlanImage, QwensSizesAreWholeTokensWithinTheLimits) {
  const auto processor = Processor(kQwen, {{"min_pixels", 3136}, {"max_pixels", 50176}});
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    const int width = 1 + static_cast<int>(random() % 3000), height = 1 + static_cast<int>(random() % 3000);
    const auto plan = processor->Plan(width, height);
    if (!plan.ok()) continue;
    EXPECT_EQ(plan->resized_width % 28, 0);
    EXPECT_EQ(plan->resized_height % 28, 0);
    const int64_t pixels = int64_t{plan->resized_width} * plan->resized_height;
    EXPECT_GE(pixels, 3136) << width << " x " << height;
    // A side that would be less than a token becomes one, whatever the limit says.
    const bool at_least = std::min(plan->resized_width, plan->resized_height) == 28;
    EXPECT_TRUE(at_least || pixels <= 50176) << width << " x " << height << " became " << pixels;
  }
}

TEST(PlanImage, TheTilesOfASplitImageShowAllOfItOnceAndThenTheWhole) {
  const auto processor =
      Processor(kSmolVlm, {{"max_image_size", {{"longest_edge", 64}}}, {"size", {{"longest_edge", 256}}}});
  std::mt19937 random(9);
  for (int round = 0; round < 300; ++round) {
    const int width = Side(random), height = Side(random);
    const auto plan = processor->Plan(width, height);
    ASSERT_THAT(plan, IsOk());
    double area = 0;
    for (const ImageTile& tile : plan->tiles) {
      area += (tile.shows.right - tile.shows.left) * (tile.shows.bottom - tile.shows.top);
    }
    const double whole = static_cast<double>(width) * height;
    EXPECT_EQ(std::ssize(plan->tiles), int64_t{plan->tile_rows} * plan->tile_columns + 1);
    // Tolerance: the sides of the tiles are quotients.
    EXPECT_NEAR(area / whole, plan->tile_rows > 0 ? 2 : 1, 1e-9) << width << " x " << height;
    EXPECT_EQ(plan->tiles.back().shows.right, width);
    EXPECT_EQ(plan->tiles.back().shows.bottom, height);
  }
}

TEST(PlanImage, MorePatchesThanTheirMemoryMayHoldAreRefusedWithBothNumbers) {
  // A patch of Qwen has 3 * 2 * 14 * 14 floats, and 4 patches are a token.
  const auto processor = Parse(kQwen, json::object(), {.max_patch_bytes = 1176 * 4 * 16});
  ASSERT_THAT(processor, IsOk());
  EXPECT_THAT((*processor)->Plan(56, 56), IsOk()) << "16 patches";
  const auto refused = (*processor)->Plan(56, 84);
  EXPECT_THAT(refused, HasCode(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("24 patches; the limit is 16: send a smaller one"));
}

struct Bad {
  json config;
  json settings;
  const char* field;  // behind "preprocessor_config.json."
};

TEST(ParseProcessor, SettingsThatContradictTheModelOrEachOtherAreNamed) {
  json qwen = kQwen;
  qwen["vision_config"] = {{"patch_size", 14}, {"temporal_patch_size", 2}};
  const Bad bad[] = {{qwen, {{"patch_size", 16}}, "patch_size"},
                     {qwen, {{"temporal_patch_size", 1}}, "temporal_patch_size"},
                     {qwen, {{"merge_size", 17}}, "merge_size"},
                     {kQwen, {{"size", {{"shortest_edge", 9000}, {"longest_edge", 8000}}}}, "size"},
                     {kQwen, {{"size", {{"min_pixels", 100}}}, {"max_pixels", 99}}, "size"},
                     {kQwen, {{"size", {{"longest_edge", 0}}}}, "size.longest_edge"},
                     {kQwen, {{"min_pixels", "many"}}, "min_pixels"},
                     {kQwen, {{"image_mean", {0.5, "0.5", 0.5}}}, "image_mean"},
                     {kQwen, {{"image_std", 1e300}}, "image_std"},
                     {kSmolVlm, {{"max_image_size", 364}}, "max_image_size"},
                     {kSmolVlm, {{"max_image_size", {{"longest_edge", 1 << 20}}}}, "max_image_size.longest_edge"},
                     {kSmolVlm, {{"do_image_splitting", "yes"}}, "do_image_splitting"},
                     {kLlava, {{"size", "224"}}, "size"},
                     {kLlava, {{"size", {{"height", 224}, {"width", -1}}}}, "size.width"},
                     {kLlava, {{"crop_size", 0}}, "crop_size"},
                     {kLlava, {{"do_center_crop", 1}}, "do_center_crop"}};
  for (const auto& [config, settings, field] : bad) {
    EXPECT_THAT(Parse(config, settings), FailsAt(std::string("preprocessor_config.json.") + field)) << settings;
  }
}

}  // namespace
}  // namespace gwq
