#include "core/prompt/image_rows.h"

#include <utility>

#include "core/base/status.h"

namespace gwq {

std::vector<PatchGrid> GridsOf(const PreparedImage& image) {
  std::vector<PatchGrid> out;
  for (const ImageTile& tile : image.tiles) out.push_back({tile.patches_high, tile.patches_wide});
  return out;
}

absl::StatusOr<PreparedImage> ReadImage(const ImageProcessor& processor, std::span<const std::byte> file,
                                        const ImageLimits& limits, const std::function<absl::Status()>& check) {
  GWQ_ASSIGN_OR_RETURN(Image image, DecodeImage(file, limits));
  if (check) GWQ_RETURN_IF_ERROR(check());
  return processor.Prepare(std::move(image));
}

absl::StatusOr<std::shared_ptr<const std::vector<float>>> EncodeImages(const LoadedModel& model, Backend& backend,
                                                                       std::span<PreparedImage> images) {
  const auto hidden = static_cast<size_t>(model.model().config().hidden_size);
  int64_t tokens = 0;
  for (const PreparedImage& image : images) tokens += image.image_tokens;
  auto rows = std::make_shared<std::vector<float>>(static_cast<size_t>(tokens) * hidden);
  std::span<float> left(*rows);
  for (PreparedImage& image : images) {
    const auto part = left.first(static_cast<size_t>(image.image_tokens) * hidden);
    GWQ_RETURN_IF_ERROR(model.EncodeImage(backend, image.patches, GridsOf(image), part));
    image.patches = {};
    left = left.subspan(part.size());
  }
  return rows;
}

}  // namespace gwq
