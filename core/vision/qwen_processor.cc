// Qwen2-VL and Qwen2.5-VL: Hugging Face's Qwen2VLImageProcessor.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "core/vision/patches.h"
#include "core/vision/processors.h"
#include "core/vision/resize.h"

namespace gwq {
namespace {

constexpr std::string_view kMarker = "<|image_pad|>";
constexpr int64_t kMaxAspectRatio = 200;

struct Settings {
  PixelSettings pixels;
  PatchShape shape;
  int64_t min_pixels = 0;
  int64_t max_pixels = 0;
  ProcessorLimits limits;
};

// Sides that are multiples of `factor`, about the image's shape, with min_pixels to max_pixels: smart_resize of
// transformers, whose arithmetic (Python's round to even, true division) decides about single patches.
struct Size {
  int64_t width;
  int64_t height;
};
Size SmartSize(int width, int height, double factor, const Settings& settings) {
  const double pixels = static_cast<double>(width) * height;
  double high = std::nearbyint(height / factor) * factor;
  double wide = std::nearbyint(width / factor) * factor;
  if (high * wide > static_cast<double>(settings.max_pixels)) {
    const double beta = std::sqrt(pixels / static_cast<double>(settings.max_pixels));
    high = std::max(factor, std::floor(height / beta / factor) * factor);
    wide = std::max(factor, std::floor(width / beta / factor) * factor);
  } else if (high * wide < static_cast<double>(settings.min_pixels)) {
    const double beta = std::sqrt(static_cast<double>(settings.min_pixels) / pixels);
    high = std::ceil(height * beta / factor) * factor;
    wide = std::ceil(width * beta / factor) * factor;
  }
  return {static_cast<int64_t>(wide), static_cast<int64_t>(high)};
}

class QwenProcessor final : public ImageProcessor {
 public:
  QwenProcessor(VisionFamily family, const Settings& settings)
      : ImageProcessor(family, kMarker), settings_(settings), values_(settings.pixels.values) {}

  absl::StatusOr<PreparedImage> Plan(int width, int height) const override {
    if (width < 1 || height < 1) return absl::InvalidArgumentError("an image without pixels");
    const double longer = std::max(width, height), shorter = std::min(width, height);
    if (longer / shorter > static_cast<double>(kMaxAspectRatio)) {
      return absl::InvalidArgumentError(
          fmt::format("an image of {} x {} pixels is too long for this model: the ratio of its sides may be {}", width,
                      height, kMaxAspectRatio));
    }
    const PatchShape& shape = settings_.shape;
    const Size size = SmartSize(width, height, shape.patch * shape.merge, settings_);
    if (size.width < 1 || size.height < 1) {
      return absl::InvalidArgumentError(
          fmt::format("an image of {} x {} pixels is too small for this model's patches", width, height));
    }
    const int64_t high = size.height / shape.patch, wide = size.width / shape.patch;
    GWQ_RETURN_IF_ERROR(CheckPatchBytes(high * wide, shape.floats(), settings_.limits));
    PreparedImage plan;
    plan.original_width = width;
    plan.original_height = height;
    plan.resized_width = static_cast<int>(size.width);
    plan.resized_height = static_cast<int>(size.height);
    plan.patch_size_floats = shape.floats();
    plan.tiles = {{.patches_high = high,
                   .patches_wide = wide,
                   .shows = {.right = static_cast<double>(width), .bottom = static_cast<double>(height)}}};
    plan.image_tokens = high * wide / (shape.merge * shape.merge);
    return plan;
  }

  // Rows go from the filter into the patches: there is no resized image beside them.
  absl::StatusOr<PreparedImage> Prepare(Image image) const override {
    GWQ_RETURN_IF_ERROR(CheckPixels(image));
    GWQ_ASSIGN_OR_RETURN(PreparedImage prepared, Plan(image.width, image.height));
    const ImageTile& tile = prepared.tiles[0];
    prepared.patches.resize(tile.patches_high * tile.patches_wide * prepared.patch_size_floats);
    const PatchWriter writer(settings_.shape, tile.patches_high, tile.patches_wide, values_, prepared.patches.data());
    ResizeRows(RowsOf(image), prepared.resized_width, prepared.resized_height,
               {.width = prepared.resized_width, .height = prepared.resized_height}, settings_.pixels.resample,
               [&](int y, const uint8_t* row) { writer.PutRow(y, row); });
    return prepared;
  }

  std::string PromptText(const PreparedImage& image) const override { return Repeat(kMarker, image.image_tokens); }

 private:
  const Settings settings_;
  const ByteValues values_;
};

int SameAsVision(const ProcessorInputs& inputs, std::string_view name, std::string_view vision_name, int fallback,
                 int high) {
  const int64_t value = inputs.image_processor.IntOr(name, fallback, 1, high);
  const int64_t vision = inputs.vision.IntOr(vision_name, value, 1, high);
  if (value != vision) {
    inputs.image_processor.Invalid(
        name, fmt::format("{} is not the {} of config.json's vision_config.{}", value, vision, vision_name));
  }
  return static_cast<int>(value);
}

}  // namespace

std::unique_ptr<const ImageProcessor> MakeQwenProcessor(VisionFamily family, const ProcessorInputs& inputs) {
  constexpr int64_t kMaxPixels = int64_t{1} << 30;
  const SettingsReader& from = inputs.image_processor;
  Settings settings;
  settings.pixels = ReadPixelSettings(from, {.values = {.mean = kClipMean, .std = kClipStd}});
  settings.shape = {.patch = SameAsVision(inputs, "patch_size", "patch_size", 14, 256),
                    .temporal = SameAsVision(inputs, "temporal_patch_size", "temporal_patch_size", 2, 16),
                    .merge = SameAsVision(inputs, "merge_size", "spatial_merge_size", 2, 16)};
  // The limits stand at the top, or in `size` under one of two pairs of names, by version of transformers.
  const SettingsReader size = from.Object("size");
  settings.min_pixels = size.IntOr("shortest_edge", size.IntOr("min_pixels", 56 * 56, 1, kMaxPixels), 1, kMaxPixels);
  settings.max_pixels =
      size.IntOr("longest_edge", size.IntOr("max_pixels", 28 * 28 * 1280, 1, kMaxPixels), 1, kMaxPixels);
  settings.min_pixels = from.IntOr("min_pixels", settings.min_pixels, 1, kMaxPixels);
  settings.max_pixels = from.IntOr("max_pixels", settings.max_pixels, 1, kMaxPixels);
  if (settings.min_pixels > settings.max_pixels) {
    from.Invalid("size", fmt::format("at least {} and at most {} pixels fit no image", settings.min_pixels,
                                     settings.max_pixels));
  }
  settings.limits = inputs.limits;
  return std::make_unique<QwenProcessor>(family, settings);
}

}  // namespace gwq
