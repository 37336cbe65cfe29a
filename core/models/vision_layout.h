// Where patches of images stand: order, positions and segments of a tower's rows.
#pragma once

#include <span>

#include "absl/status/statusor.h"
#include "core/models/vision_tower.h"

namespace gwq {

// What LayoutOf checks, for free.
[[nodiscard]] absl::Status CheckTiles(const VisionConfig& config, std::span<const PatchGrid> tiles);
// See VisionTower::Layout. Sources: transformers 5.23, vision_utils.py for rotary positions and windows,
// models/idefics3 for learned positions and pixel shuffle, models/clip for the class token.
[[nodiscard]] absl::StatusOr<VisionLayout> LayoutOf(const VisionConfig& config, std::span<const PatchGrid> tiles);

}  // namespace gwq
