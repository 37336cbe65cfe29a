// The part of a vision-language model that turns patches of images into rows for the decoder, next to text embeddings.
// It is written against Pass and runs stage by stage, like the decoder: stage 0 embeds patches, then come the blocks,
// and the last stage merges or projects.
//
//   layout = tower.Layout(grids)
//   for each stage s: pass = backend.Begin(BatchOfRows(layout->rows[s]), nullptr)
//                     x = stage.Run(*pass, *layout, pass->Input(x, tower.width(s)))
//
// All stages may also run in one pass that begins with layout->rows[0].
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/models/config.h"
#include "core/models/weight_loader.h"

namespace gwq {

// A tile of an image in patches. An image of Qwen or LLaVA is one tile, one of Idefics3 a grid of them and the whole.
struct PatchGrid {
  int64_t high = 0;
  int64_t wide = 0;
  friend bool operator==(const PatchGrid&, const PatchGrid&) = default;
};

// What the stages need besides patches and weights. VisionTower::Layout makes it, for any number of tiles in one pass.
struct VisionLayout {
  std::vector<int64_t> rows;          // [stages + 1]: rows that stage s takes; the last: image tokens
  std::vector<int32_t> entry;         // order of rows as blocks see them, -1 a class token; empty: as they come
  std::vector<int32_t> position_ids;  // [block rows] of the learned table; empty if positions are rotary
  std::vector<float> cosines, sines;  // [block rows, head_dim / 2]; empty if positions are learned
  std::vector<int64_t> tile_ends;     // segments of full attention
  std::vector<int64_t> window_ends;   // of windows; empty if there are none
  std::vector<int32_t> merge;         // order of block rows whose groups become one image token
  std::vector<int32_t> exit;          // order of image tokens, if the blocks have changed it; empty: as they come
};

// The weights of one stage, ready to run. Immutable. Must not outlive its tower.
class VisionStage {
 public:
  virtual ~VisionStage() = default;
  // [layout.rows[s], width(s)] -> [layout.rows[s + 1], width(s + 1)].
  [[nodiscard]] virtual Activation Run(Pass& pass, const VisionLayout& layout, Activation x) const = 0;
  [[nodiscard]] virtual const std::vector<NamedWeight>& weights() const = 0;
};

// Immutable and thread-safe. Its tensors are in Model::tensors(), parts kVision and kProjector, with stage
// Model::stages() + s for stage s of the tower.
class VisionTower {
 public:
  virtual ~VisionTower() = default;
  [[nodiscard]] virtual const VisionConfig& config() const = 0;
  [[nodiscard]] int stages() const { return config().blocks + 2; }
  // Width of the rows that stage s takes: patch_floats, then the tower's hidden size; for s = stages() the language
  // model's hidden size.
  [[nodiscard]] virtual int64_t width(int stage) const = 0;
  // INVALID_ARGUMENT naming the tile if it has no patch, too many, or a size that the tower does not take.
  [[nodiscard]] virtual absl::StatusOr<VisionLayout> Layout(std::span<const PatchGrid> tiles) const = 0;
  // Image tokens of a tile. For a tile that Layout refuses the number has no meaning.
  [[nodiscard]] virtual int64_t ImageTokens(const PatchGrid& tile) const = 0;
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<VisionStage>> LoadStage(int stage,
                                                                               WeightLoader& loader) const = 0;
};

}  // namespace gwq
