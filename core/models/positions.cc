// Positions of a prompt with images.
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/models/model.h"
#include "core/models/vision_layout.h"

namespace gwq {
namespace {

// Image tokens of each image. INVALID_ARGUMENT if the prompt has another number of image rows.
absl::StatusOr<std::vector<int64_t>> TokensOfImages(const VisionTower* tower, int64_t image_rows,
                                                    std::span<const std::vector<PatchGrid>> images) {
  if (tower == nullptr && !images.empty()) return InvalidField("images", "the model takes none");
  std::vector<int64_t> counts;
  int64_t total = 0;
  for (const std::vector<PatchGrid>& tiles : images) {
    GWQ_RETURN_IF_ERROR(CheckTiles(tower->config(), tiles));
    counts.push_back(0);
    for (const PatchGrid& tile : tiles) counts.back() += tower->ImageTokens(tile);
    total += counts.back();
  }
  if (total == image_rows) return counts;
  return InvalidField(
      "images", fmt::format("{} images give {} image tokens, the prompt has {}", images.size(), total, image_rows));
}

// Three axes: text counts up on all of them; an image stands at one time, its rows and columns count from there, and
// what follows starts behind the larger of the two.
class Walk {
 public:
  Walk(const VisionConfig* vision, size_t tokens) : vision_(vision), tokens_(tokens), positions_(3 * tokens) {}

  void Text() {
    for (size_t axis = 0; axis < 3; ++axis) positions_[axis * tokens_ + at_] = next_;
    ++at_;
    ++next_;
  }

  void Image(const std::vector<PatchGrid>& tiles) {
    for (const PatchGrid& tile : tiles) {
      const auto high = static_cast<int32_t>(tile.high / vision_->merge);
      const auto wide = static_cast<int32_t>(tile.wide / vision_->merge);
      for (int32_t y = 0; y < high; ++y) {
        for (int32_t x = 0; x < wide; ++x, ++at_) {
          positions_[at_] = next_;
          positions_[tokens_ + at_] = next_ + y;
          positions_[2 * tokens_ + at_] = next_ + x;
        }
      }
      next_ += std::max(high, wide);
    }
  }

  [[nodiscard]] size_t at() const { return at_; }

  [[nodiscard]] PromptPositions Done() && {
    const int32_t last = positions_.empty() ? -1 : *std::ranges::max_element(positions_);
    return {std::move(positions_), last + 1 - static_cast<int32_t>(tokens_)};
  }

 private:
  const VisionConfig* const vision_;
  const size_t tokens_;
  std::vector<int32_t> positions_;
  size_t at_ = 0;
  int32_t next_ = 0;
};

}  // namespace

absl::StatusOr<PromptPositions> Model::PositionsFor(std::span<const int32_t> tokens,
                                                    std::span<const std::vector<PatchGrid>> images) const {
  const VisionTower* const tower = vision();
  const ModelConfig& config = this->config();
  const auto of_image = [&](int32_t token) {
    return token < 0 || (config.image_token_id >= 0 && token == config.image_token_id);
  };
  GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> counts,
                       TokensOfImages(tower, std::ranges::count_if(tokens, of_image), images));
  if (config.position_axes == 1) {
    PromptPositions plain;
    for (size_t i = 0; i < tokens.size(); ++i) plain.positions.push_back(static_cast<int32_t>(i));
    return plain;
  }
  Walk walk(tower == nullptr ? nullptr : &tower->config(), tokens.size());
  size_t image = 0;
  while (walk.at() < tokens.size()) {
    if (!of_image(tokens[walk.at()])) {
      walk.Text();
      continue;
    }
    // An image's rows stand together: text among them would get positions inside the image.
    const auto rows = tokens.subspan(walk.at(), static_cast<size_t>(counts[image]));
    if (!std::ranges::all_of(rows, of_image)) {
      return InvalidField(fmt::format("images[{}]", image),
                          fmt::format("its {} image tokens from token {} on are not together", rows.size(), walk.at()));
    }
    walk.Image(images[image++]);
  }
  return std::move(walk).Done();
}

}  // namespace gwq
