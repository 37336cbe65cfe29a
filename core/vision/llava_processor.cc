// LLaVA: Hugging Face's CLIPImageProcessor, and LlavaImageProcessor, which may pad to a square first.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "core/base/status.h"
#include "core/vision/patches.h"
#include "core/vision/processors.h"
#include "core/vision/resize.h"

namespace gwq {
namespace {

constexpr std::string_view kMarker = "<image>";
constexpr int64_t kMaxSide = 1 << 14;  // of settings

struct Settings {
  PixelSettings pixels;
  PatchShape shape;
  int64_t shortest_edge = 0;  // resized to; where 0, to these two:
  int64_t width = 0, height = 0;
  bool crop = true;
  int64_t crop_width = 0, crop_height = 0;
  bool pad_to_square = false;
  std::array<uint8_t, 3> background = {};
  int64_t extra_tokens = 0;  // beside one a patch: the class token, where the model keeps it
  ProcessorLimits limits;
};

int64_t FloorHalf(int64_t value) { return (value - (value < 0 ? 1 : 0)) / 2; }

// The image after padding, resizing and cropping, in the pixels of each.
struct Geometry {
  int64_t padded_width = 0, padded_height = 0;    // the given image, or the square around it
  int64_t offset_x = 0, offset_y = 0;             // of the given image in it
  int64_t resized_width = 0, resized_height = 0;  // all of it, resized
  int64_t left = 0, top = 0;                      // of what is cut out of that; outside of it is black
  int64_t width = 0, height = 0;
};

// Hands out the rows of the square around an image.
class PaddedRows {
 public:
  PaddedRows(const Image& image, const Geometry& geometry, const std::array<uint8_t, 3>& background)
      : image_(image), geometry_(geometry), row_(size_t{3} * geometry.padded_width) {
    for (size_t i = 0; i < row_.size(); ++i) row_[i] = background[i % 3];
    background_ = row_;
  }
  const uint8_t* Row(int y) {
    const int64_t inside = y - geometry_.offset_y;
    if (inside < 0 || inside >= image_.height) return background_.data();
    std::memcpy(row_.data() + 3 * geometry_.offset_x, image_.Row(static_cast<int>(inside)), size_t{3} * image_.width);
    return row_.data();
  }

 private:
  const Image& image_;
  const Geometry& geometry_;
  std::vector<uint8_t> row_;
  std::vector<uint8_t> background_;
};

class LlavaProcessor final : public ImageProcessor {
 public:
  explicit LlavaProcessor(const Settings& settings)
      : ImageProcessor(VisionFamily::kLlava, kMarker), settings_(settings), values_(settings.pixels.values) {}

  absl::StatusOr<PreparedImage> Plan(int width, int height) const override {
    if (width < 1 || height < 1) return absl::InvalidArgumentError("an image without pixels");
    const Geometry at = GeometryOf(width, height);
    const int64_t patch = settings_.shape.patch;
    const int64_t high = at.height / patch, wide = at.width / patch;
    if (high < 1 || wide < 1) return absl::InvalidArgumentError("the image is smaller than one patch");
    GWQ_RETURN_IF_ERROR(CheckPatchBytes(high, settings_.shape.floats() * wide, settings_.limits));
    PreparedImage plan;
    plan.original_width = width;
    plan.original_height = height;
    plan.resized_width = static_cast<int>(at.width);
    plan.resized_height = static_cast<int>(at.height);
    plan.patch_size_floats = settings_.shape.floats();
    const double scale_x = static_cast<double>(at.padded_width) / static_cast<double>(at.resized_width);
    const double scale_y = static_cast<double>(at.padded_height) / static_cast<double>(at.resized_height);
    const auto original_x = [&](int64_t x) {
      return static_cast<double>(at.left + x) * scale_x - static_cast<double>(at.offset_x);
    };
    const auto original_y = [&](int64_t y) {
      return static_cast<double>(at.top + y) * scale_y - static_cast<double>(at.offset_y);
    };
    plan.tiles = {{.patches_high = high,
                   .patches_wide = wide,
                   .shows = {original_x(0), original_y(0), original_x(wide * patch), original_y(high * patch)}}};
    plan.image_tokens = high * wide + settings_.extra_tokens;
    return plan;
  }

  // Only the rows and columns inside the crop are computed, and they go from the filter into the patches.
  absl::StatusOr<PreparedImage> Prepare(Image image) const override {
    GWQ_RETURN_IF_ERROR(CheckPixels(image));
    GWQ_ASSIGN_OR_RETURN(PreparedImage prepared, Plan(image.width, image.height));
    const Geometry at = GeometryOf(image.width, image.height);
    const ImageTile& tile = prepared.tiles[0];
    prepared.patches.resize(tile.patches_high * tile.patches_wide * prepared.patch_size_floats);
    const PatchWriter writer(settings_.shape, tile.patches_high, tile.patches_wide, values_, prepared.patches.data());

    const int64_t left = std::max<int64_t>(0, at.left), right = std::min(at.resized_width, at.left + at.width);
    const int64_t top = std::max<int64_t>(0, at.top), bottom = std::min(at.resized_height, at.top + at.height);
    const ResizeWindow window = {left, top, static_cast<int>(right - left), static_cast<int>(bottom - top)};
    std::vector<uint8_t> row(size_t{3} * at.width);  // black where the crop is larger than the image
    for (int64_t y = 0; y < at.height; ++y) {
      if (at.top + y < top || at.top + y >= bottom) writer.PutRow(static_cast<int>(y), row.data());
    }
    PaddedRows padded(image, at, settings_.background);
    const RowSource source = {.width = static_cast<int>(at.padded_width),
                              .height = static_cast<int>(at.padded_height),
                              .row = [&](int y) { return padded.Row(y); }};
    ResizeRows(source, at.resized_width, at.resized_height, window, settings_.pixels.resample,
               [&](int y, const uint8_t* pixels) {
                 std::memcpy(row.data() + 3 * (left - at.left), pixels, size_t{3} * window.width);
                 writer.PutRow(static_cast<int>(top - at.top) + y, row.data());
               });
    return prepared;
  }

  std::string PromptText(const PreparedImage& image) const override { return Repeat(kMarker, image.image_tokens); }

 private:
  [[nodiscard]] Geometry GeometryOf(int64_t width, int64_t height) const {
    Geometry at;
    at.padded_width = width;
    at.padded_height = height;
    if (settings_.pad_to_square) {
      at.padded_width = at.padded_height = std::max(width, height);
      at.offset_x = (at.padded_width - width) / 2;
      at.offset_y = (at.padded_height - height) / 2;
    }
    at.resized_width = settings_.width;
    at.resized_height = settings_.height;
    if (settings_.shortest_edge > 0) {
      const int64_t shorter = std::min(at.padded_width, at.padded_height);
      const int64_t longer = std::max(at.padded_width, at.padded_height);
      const int64_t other = settings_.shortest_edge * longer / shorter;
      at.resized_width = at.padded_width <= at.padded_height ? settings_.shortest_edge : other;
      at.resized_height = at.padded_width <= at.padded_height ? other : settings_.shortest_edge;
    }
    at.width = settings_.crop ? settings_.crop_width : at.resized_width;
    at.height = settings_.crop ? settings_.crop_height : at.resized_height;
    at.left = FloorHalf(at.resized_width - at.width);
    at.top = FloorHalf(at.resized_height - at.height);
    return at;
  }

  const Settings settings_;
  const ByteValues values_;
};

// A size may be one number: the shorter side of what is resized, both sides of what is cut out.
void ReadSizes(const SettingsReader& from, Settings& settings) {
  if (from.Has("size") && !from.IsObject("size")) {
    settings.shortest_edge = from.IntOr("size", 224, 1, kMaxSide);
  } else {
    const SettingsReader size = from.Object("size");
    if (size.Has("longest_edge")) size.Unsupported("longest_edge", "is not supported; shortest_edge is");
    if (size.Has("height") || size.Has("width")) {
      settings.height = size.IntOr("height", 224, 1, kMaxSide);
      settings.width = size.IntOr("width", 224, 1, kMaxSide);
    } else {
      settings.shortest_edge = size.IntOr("shortest_edge", 224, 1, kMaxSide);
    }
  }
  settings.crop = from.BoolOr("do_center_crop", true);
  if (from.Has("crop_size") && !from.IsObject("crop_size")) {
    settings.crop_width = settings.crop_height = from.IntOr("crop_size", 224, 1, kMaxSide);
  } else {
    const SettingsReader crop = from.Object("crop_size");
    settings.crop_height = crop.IntOr("height", 224, 1, kMaxSide);
    settings.crop_width = crop.IntOr("width", 224, 1, kMaxSide);
  }
}

// One token a patch; the class token is left out by the strategy "default" and kept by "full".
int64_t ExtraTokens(const ProcessorInputs& inputs) {
  const std::string strategy = inputs.config.StringOr("vision_feature_select_strategy", "default");
  if (strategy != "default" && strategy != "full") {
    inputs.config.Invalid("vision_feature_select_strategy",
                          fmt::format("'{}' is unknown; 'default' and 'full' are not", strategy));
  }
  return strategy == "full" ? 1 : 0;
}

}  // namespace

std::unique_ptr<const ImageProcessor> MakeLlavaProcessor(const ProcessorInputs& inputs) {
  const SettingsReader& from = inputs.image_processor;
  Settings settings;
  settings.pixels = ReadPixelSettings(from, {.values = {.mean = kClipMean, .std = kClipStd}});
  settings.shape = {.patch = static_cast<int>(inputs.vision.IntOr("patch_size", 32, 1, 256))};
  ReadSizes(from, settings);
  // CLIP's own padding comes after normalising and is meant for batches; only LLaVA's makes squares.
  const bool pads = from.BoolOr("do_pad", false);
  if (pads && inputs.type != "LlavaImageProcessor") {
    from.Unsupported("do_pad", "is only supported for LlavaImageProcessor, which pads to a square");
  }
  settings.pad_to_square = pads || inputs.config.StringOr("image_aspect_ratio", "") == "pad";
  for (int channel = 0; channel < 3; ++channel) {
    const double mean = std::clamp(settings.pixels.values.mean[channel], 0.0, 1.0);
    settings.background[channel] = static_cast<uint8_t>(mean * 255);
  }
  settings.extra_tokens = ExtraTokens(inputs);
  settings.limits = inputs.limits;
  return std::make_unique<LlavaProcessor>(settings);
}

}  // namespace gwq
