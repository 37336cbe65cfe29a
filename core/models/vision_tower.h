// The part of a vision-language model that turns patches of images into rows beside text embeddings. Written against
// Pass as the decoder is, and walked stage by stage: stage 0 embeds patches, then the blocks, the last one merges or
// projects.
//
//   layout = tower.Layout(grids)
//   for each stage s: pass = backend.Begin(BatchOfRows(layout->rows[s]), nullptr)
//                     x = stage.Run(*pass, *layout, pass->Input(x, tower.width(s)))
//
// All stages may run in one pass, too, begun with layout->rows[0].
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

// What the stages need beside patches and weights. Made by VisionTower::Layout, for any number of tiles in one pass.
struct VisionLayout {
  std::vector<int64_t> rows;          // [stages + 1]: rows that stage s takes; the last: image tokens
  std::vector<int32_t> entry;         // order of rows as blocks see them, -1 a class token; empty: as they come
  std::vector<int32_t> position_ids;  // [block rows] of the learned table; empty where positions are rotary
  std::vector<float> cosines, sines;  // [block rows, head_dim / 2]; empty where positions are learned
  std::vector<int64_t> tile_ends;     // segments of full attention
  std::vector<int64_t> window_ends;   // of windows; empty where there are none
  std::vector<int32_t> merge;         // order of block rows whose groups become one image token
  std::vector<int32_t> exit;          // order of image tokens, where the blocks changed it; empty: as they come
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
  // Width of the rows that stage s takes: patch_floats, then the tower's hidden size; of s = stages() the language
  // model's.
  [[nodiscard]] virtual int64_t width(int stage) const = 0;
  // INVALID_ARGUMENT naming the tile where it has no patch, too many, or a size that the tower does not take.
  [[nodiscard]] virtual absl::StatusOr<VisionLayout> Layout(std::span<const PatchGrid> tiles) const = 0;
  // Image tokens of a tile; what Layout refuses may give any number.
  [[nodiscard]] virtual int64_t ImageTokens(const PatchGrid& tile) const = 0;
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<VisionStage>> LoadStage(int stage,
                                                                               WeightLoader& loader) const = 0;
};

}  // namespace gwq
