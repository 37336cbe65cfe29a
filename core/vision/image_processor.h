// Converts images to the input of a vision tower, like the Hugging Face image processor of each model family.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/pixel_rect.h"
#include "core/vision/image.h"

namespace gwq {

enum class VisionFamily { kQwen2Vl, kQwen25Vl, kIdefics3, kLlava };  // kIdefics3 is SmolVLM too

// How a model's answers name boxes (core/vision/boxes.h).
enum class GroundingFormat { kNone, kQwen2Vl, kQwen25Vl, kLlava };

// One image that the tower sees by itself: all of it (Qwen, LLaVA), or one part or the whole of it (Idefics3).
struct ImageTile {
  int64_t first_patch = 0;  // row of PreparedImage::patches
  int64_t patches_high = 0;
  int64_t patches_wide = 0;
  PixelRect shows;  // may reach outside the original where a crop or a square is larger than the image
};

// Patches are flattened so that the tower's convolution, whose stride is its kernel, is a product with a matrix.
struct PreparedImage {
  int original_width = 0;
  int original_height = 0;
  int resized_width = 0;  // the image that the patches are cut from; for Idefics3 the one that is split
  int resized_height = 0;
  int64_t patch_size_floats = 0;  // Qwen: 3 * temporal * p * p in the order channel, time, y, x; others: channel, y, x
  // [rows, patch_size_floats]. Qwen: the rows of a merge window (merge x merge patches) stand together, row by row, and
  // the windows row by row; others: the tiles one after the other, row by row.
  std::vector<float> patches;
  std::vector<ImageTile> tiles;
  int tile_rows = 0;  // Idefics3's grid of parts; 0 if the image is not split
  int tile_columns = 0;
  int64_t image_tokens = 0;  // placeholders in the prompt, of all tiles together
};

// Texts of a model's files; empty if the model has no such file. transformers 4 writes the image processor's
// settings to preprocessor_config.json, transformers 5 to the field image_processor of processor_config.json; the
// former wins.
struct ProcessorFiles {
  std::string_view config;               // config.json
  std::string_view preprocessor_config;  // preprocessor_config.json
  std::string_view processor_config;     // processor_config.json
};

struct ProcessorLimits {
  int64_t max_patch_bytes = int64_t{1} << 29;  // of one image's patches
};

// Immutable; every method may be called from several threads at once.
class ImageProcessor {
 public:
  // INVALID_ARGUMENT naming the file and field for a model without processor settings, one whose image_processor_type
  // is unknown or not its family's, or settings that are malformed or out of range; UNIMPLEMENTED for settings that are
  // known and not supported. Settings that are missing have the defaults of the class in Hugging Face.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const ImageProcessor>> Parse(const ProcessorFiles& files,
                                                                                   const ProcessorLimits& limits = {});
  virtual ~ImageProcessor() = default;

  // The result of Prepare for an image of this size, without patches, so that a request can be checked before anything
  // is decoded.
  // INVALID_ARGUMENT for a shape that the family refuses (an aspect ratio over 200 for Qwen) or too many patches.
  [[nodiscard]] virtual absl::StatusOr<PreparedImage> Plan(int width, int height) const = 0;

  // Pixel values equal those of the family's PIL processor in transformers 5.23 bit for bit. Takes the image,
  // so that it can be freed early: besides the returned patches at most two images are alive, the given one and the
  // resized one.
  [[nodiscard]] virtual absl::StatusOr<PreparedImage> Prepare(Image image) const = 0;

  // The text that replaces one marker in the rendered prompt: the placeholders and, for Idefics3, the texts between
  // them. The chat template writes the text around the marker (Qwen's <|vision_start|>).
  [[nodiscard]] virtual std::string PromptText(const PreparedImage& image) const = 0;
  [[nodiscard]] std::string_view marker() const { return marker_; }  // for example <|image_pad|>

  [[nodiscard]] VisionFamily family() const { return family_; }
  [[nodiscard]] GroundingFormat grounding() const;

 protected:
  ImageProcessor(VisionFamily family, std::string_view marker) : family_(family), marker_(marker) {}

 private:
  const VisionFamily family_;
  const std::string marker_;
};

}  // namespace gwq
