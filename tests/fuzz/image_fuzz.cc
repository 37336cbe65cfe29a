// A file that is accepted is a whole image inside the limits, and every family's processor makes of it what it
// planned.
#include <memory>
#include <vector>

#include "core/vision/image_processor.h"
#include "tests/fuzz/bytes.h"

namespace {

using gwq::fuzz::Require;

constexpr gwq::ImageLimits kLimits = {.max_bytes = 1 << 20, .max_pixels = 1 << 16, .max_side = 2048};

std::vector<std::unique_ptr<const gwq::ImageProcessor>> Processors() {
  constexpr const char* kFiles[][2] = {
      {R"({"model_type": "qwen2_vl"})", R"({"patch_size": 8, "min_pixels": 256, "max_pixels": 4096})"},
      {R"({"model_type": "smolvlm", "scale_factor": 4, "vision_config": {"patch_size": 8}})",
       R"({"size": {"longest_edge": 64}, "max_image_size": {"longest_edge": 32}})"},
      {R"({"model_type": "llava", "vision_config": {"patch_size": 14}})",
       R"({"image_processor_type": "LlavaImageProcessor", "do_pad": true, "size": 30, "crop_size": 28})"},
  };
  std::vector<std::unique_ptr<const gwq::ImageProcessor>> made;
  for (const auto& [config, file] : kFiles) {
    auto processor =
        gwq::ImageProcessor::Parse({.config = config, .preprocessor_config = file, .processor_config = ""});
    Require(processor.ok());
    made.push_back(*std::move(processor));
  }
  return made;
}

void RequirePrepared(const gwq::ImageProcessor& processor, const gwq::Image& image) {
  const auto plan = processor.Plan(image.width, image.height);
  const auto prepared = processor.Prepare(image);
  Require(plan.ok() == prepared.ok());
  if (!prepared.ok()) return;
  int64_t rows = 0;
  for (const gwq::ImageTile& tile : prepared->tiles) rows += tile.patches_high * tile.patches_wide;
  Require(static_cast<int64_t>(prepared->patches.size()) == rows * prepared->patch_size_floats);
  Require(plan->image_tokens == prepared->image_tokens && prepared->image_tokens > 0);
  for (const float value : prepared->patches) Require(value > -10 && value < 10);
  Require(!processor.PromptText(*prepared).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto processors = Processors();
  const auto header = gwq::ReadImageHeader(gwq::fuzz::Bytes(data, size), kLimits);
  const auto image = gwq::DecodeImage(gwq::fuzz::Bytes(data, size), kLimits);
  if (!image.ok()) return 0;
  Require(header.ok() && header->width == image->width && header->height == image->height);
  Require(image->width <= kLimits.max_side && image->height <= kLimits.max_side);
  Require(image->rgb.size() == size_t{3} * image->width * image->height);
  for (const auto& processor : processors) RequirePrepared(*processor, *image);
  return 0;
}
