// Settings that are accepted plan every image within the limit of patches, or refuse it.
#include "core/vision/image_processor.h"
#include "tests/fuzz/bytes.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const gwq::ProcessorLimits limits = {.max_patch_bytes = 1 << 20};
  for (const char* config : {R"({"model_type": "qwen2_vl"})", R"({"model_type": "smolvlm"})",
                             R"({"model_type": "llava", "vision_config": {"patch_size": 14}})"}) {
    const auto processor = gwq::ImageProcessor::Parse(
        {.config = config, .preprocessor_config = gwq::fuzz::Text(data, size), .processor_config = ""}, limits);
    if (!processor.ok()) continue;
    for (const auto& [width, height] : {std::pair(1, 1), std::pair(30, 17), std::pair(1, 16384), std::pair(16384, 1)}) {
      const auto plan = (*processor)->Plan(width, height);
      if (!plan.ok()) continue;
      int64_t rows = 0;
      for (const gwq::ImageTile& tile : plan->tiles) rows += tile.patches_high * tile.patches_wide;
      gwq::fuzz::Require(rows > 0 && rows * plan->patch_size_floats * 4 <= limits.max_patch_bytes);
      gwq::fuzz::Require(plan->resized_width > 0 && plan->resized_height > 0 && plan->image_tokens > 0);
    }
    (void)(*processor)->Prepare({.width = 2, .height = 1, .rgb = {1, 2, 3, 4, 5, 6}}).ok();
  }
  return 0;
}
