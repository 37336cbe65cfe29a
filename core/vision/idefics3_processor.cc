// Idefics3 and SmolVLM: Hugging Face's Idefics3ImageProcessor.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/vision/patches.h"
#include "core/vision/processors.h"
#include "core/vision/resize.h"

namespace gwq {
namespace {

constexpr std::string_view kMarker = "<image>";
constexpr std::string_view kAround = "<fake_token_around_image>";
constexpr std::string_view kGlobal = "<global-img>";
constexpr int64_t kMaxSide = 4096;  // MAX_IMAGE_SIZE of transformers

struct Settings {
  PixelSettings pixels;
  PatchShape shape;
  int64_t longest_edge = 0;  // of the image before it is split
  int64_t tile_side = 0;
  int64_t tokens_per_tile = 0;
  bool split = true;
  ProcessorLimits limits;
};

struct Size {
  int64_t width;
  int64_t height;
};

int64_t RoundUp(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// The longer side becomes `side`, the other follows, rounded down and then up to an even number. The quotients are
// doubles, as in Python: they decide about single pixels.
Size ToLongestEdge(Size size, int64_t side) {
  const double ratio = static_cast<double>(size.width) / static_cast<double>(size.height);
  if (size.width >= size.height) {
    const auto height = static_cast<int64_t>(static_cast<double>(side) / ratio);
    return {side, std::max<int64_t>(1, height + height % 2)};
  }
  const auto width = static_cast<int64_t>(static_cast<double>(side) * ratio);
  return {std::max<int64_t>(1, width + width % 2), side};
}

Size BelowMaxSide(Size size) {
  const double ratio = static_cast<double>(size.width) / static_cast<double>(size.height);
  if (size.width >= size.height && size.width > kMaxSide) {
    return {kMaxSide, std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(kMaxSide) / ratio))};
  }
  if (size.height > size.width && size.height > kMaxSide) {
    return {std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(kMaxSide) * ratio)), kMaxSide};
  }
  return size;
}

Size ToWholeTiles(Size size, int64_t tile) {
  const double ratio = static_cast<double>(size.width) / static_cast<double>(size.height);
  if (size.width >= size.height) {
    const int64_t width = RoundUp(size.width, tile);
    return {width, RoundUp(static_cast<int64_t>(static_cast<double>(width) / ratio), tile)};
  }
  const int64_t height = RoundUp(size.height, tile);
  return {RoundUp(static_cast<int64_t>(static_cast<double>(height) * ratio), tile), height};
}

class Idefics3Processor final : public ImageProcessor {
 public:
  explicit Idefics3Processor(const Settings& settings)
      : ImageProcessor(VisionFamily::kIdefics3, kMarker), settings_(settings), values_(settings.pixels.values) {}

  absl::StatusOr<PreparedImage> Plan(int width, int height) const override {
    if (width < 1 || height < 1) return absl::InvalidArgumentError("an image without pixels");
    const int64_t tile = settings_.tile_side;
    const Size size = settings_.split ? ToWholeTiles(FirstSize(width, height), tile) : Size{tile, tile};
    const bool split = size.width > tile || size.height > tile;
    PreparedImage plan;
    plan.original_width = width;
    plan.original_height = height;
    plan.resized_width = static_cast<int>(size.width);
    plan.resized_height = static_cast<int>(size.height);
    plan.patch_size_floats = settings_.shape.floats();
    plan.tile_rows = split ? static_cast<int>(size.height / tile) : 0;
    plan.tile_columns = split ? static_cast<int>(size.width / tile) : 0;
    const int64_t tiles = int64_t{plan.tile_rows} * plan.tile_columns + 1;
    GWQ_RETURN_IF_ERROR(CheckPatchBytes(tiles * PatchesPerTile(), plan.patch_size_floats, settings_.limits));
    const double tile_width = static_cast<double>(tile) * width / static_cast<double>(size.width);
    const double tile_height = static_cast<double>(tile) * height / static_cast<double>(size.height);
    for (int row = 0; row < plan.tile_rows; ++row) {
      for (int column = 0; column < plan.tile_columns; ++column) {
        AddTile(plan, {column * tile_width, row * tile_height, (column + 1) * tile_width, (row + 1) * tile_height});
      }
    }
    AddTile(plan, {0, 0, static_cast<double>(width), static_cast<double>(height)});
    plan.image_tokens = tiles * settings_.tokens_per_tile;
    return plan;
  }

  // Resized twice as Hugging Face does it, to the longest edge and to whole tiles; each image is freed when the next
  // is there. The last tile is the whole image, resized from the one that is split.
  absl::StatusOr<PreparedImage> Prepare(Image image) const override {
    GWQ_RETURN_IF_ERROR(CheckPixels(image));
    GWQ_ASSIGN_OR_RETURN(PreparedImage prepared, Plan(image.width, image.height));
    prepared.patches.resize(static_cast<int64_t>(prepared.tiles.size()) * PatchesPerTile() *
                            prepared.patch_size_floats);
    const Size first = FirstSize(image.width, image.height);
    ResizeInPlace(image, first);
    if (prepared.tile_rows > 0) {
      ResizeInPlace(image, {prepared.resized_width, prepared.resized_height});
      CutTiles(image, prepared);
    } else if (settings_.split) {
      ResizeInPlace(image, {prepared.resized_width, prepared.resized_height});
    }
    const PatchWriter writer = WriterOf(prepared, prepared.tiles.size() - 1);
    const int tile = static_cast<int>(settings_.tile_side);
    ResizeRows(RowsOf(image), tile, tile, {.width = tile, .height = tile}, settings_.pixels.resample,
               [&](int y, const uint8_t* row) { writer.PutRow(y, row); });
    return prepared;
  }

  std::string PromptText(const PreparedImage& image) const override {
    const std::string tile = Repeat(kMarker, settings_.tokens_per_tile);
    std::string text;
    for (int row = 1; row <= image.tile_rows; ++row) {
      for (int column = 1; column <= image.tile_columns; ++column) {
        text += fmt::format("{}<row_{}_col_{}>{}", kAround, row, column, tile);
      }
      text += '\n';
    }
    if (image.tile_rows > 0) text += '\n';
    return text + fmt::format("{}{}{}{}", kAround, kGlobal, tile, kAround);
  }

 private:
  [[nodiscard]] Size FirstSize(int width, int height) const {
    return BelowMaxSide(ToLongestEdge({width, height}, settings_.longest_edge));
  }
  [[nodiscard]] int64_t PatchesPerSide() const { return settings_.tile_side / settings_.shape.patch; }
  [[nodiscard]] int64_t PatchesPerTile() const { return PatchesPerSide() * PatchesPerSide(); }

  void AddTile(PreparedImage& plan, const PixelRect& shows) const {
    plan.tiles.push_back({.first_patch = static_cast<int64_t>(plan.tiles.size()) * PatchesPerTile(),
                          .patches_high = PatchesPerSide(),
                          .patches_wide = PatchesPerSide(),
                          .shows = shows});
  }

  void ResizeInPlace(Image& image, Size size) const {
    if (image.width == size.width && image.height == size.height) return;
    image = Resize(image, static_cast<int>(size.width), static_cast<int>(size.height), settings_.pixels.resample);
  }

  [[nodiscard]] PatchWriter WriterOf(PreparedImage& prepared, size_t tile) const {
    return {settings_.shape, PatchesPerSide(), PatchesPerSide(), values_,
            prepared.patches.data() + prepared.tiles[tile].first_patch * prepared.patch_size_floats};
  }

  void CutTiles(const Image& image, PreparedImage& prepared) const {
    const int side = static_cast<int>(settings_.tile_side);
    for (int row = 0; row < prepared.tile_rows; ++row) {
      for (int column = 0; column < prepared.tile_columns; ++column) {
        const PatchWriter writer = WriterOf(prepared, size_t{1} * row * prepared.tile_columns + column);
        for (int y = 0; y < side; ++y) writer.PutRow(y, image.Row(row * side + y) + size_t{3} * column * side);
      }
    }
  }

  const Settings settings_;
  const ByteValues values_;
};

}  // namespace

std::unique_ptr<const ImageProcessor> MakeIdefics3Processor(const ProcessorInputs& inputs) {
  const SettingsReader& from = inputs.image_processor;
  constexpr std::array<double, 3> kHalf = {0.5, 0.5, 0.5};
  Settings settings;
  settings.pixels = ReadPixelSettings(from, {.resample = Resample::kLanczos, .values = {.mean = kHalf, .std = kHalf}});
  settings.shape = {.patch = static_cast<int>(inputs.vision.IntOr("patch_size", 32, 1, 256))};
  settings.longest_edge = from.Object("size").IntOr("longest_edge", 4 * 364, 1, 1 << 14);
  settings.tile_side = from.Object("max_image_size").IntOr("longest_edge", 364, 1, kMaxSide);
  settings.split = from.BoolOr("do_image_splitting", true);
  settings.limits = inputs.limits;

  const int64_t shuffle = inputs.config.IntOr("scale_factor", 2, 1, 64);
  const int64_t patches = settings.tile_side / settings.shape.patch;
  if (settings.tile_side % settings.shape.patch != 0 || patches % shuffle != 0) {
    from.Invalid("max_image_size.longest_edge",
                 fmt::format("{} is not a multiple of patch size {} times scale factor {} of config.json",
                             settings.tile_side, settings.shape.patch, shuffle));
  }
  settings.tokens_per_tile = (patches / shuffle) * (patches / shuffle);
  const int64_t told = inputs.processor.IntOr("image_seq_len", settings.tokens_per_tile, 1, 1 << 20);
  if (told != settings.tokens_per_tile) {
    inputs.processor.Invalid("image_seq_len", fmt::format("{} is not the {} that tiles of {} pixels a side become",
                                                          told, settings.tokens_per_tile, settings.tile_side));
  }
  return std::make_unique<Idefics3Processor>(settings);
}

}  // namespace gwq
