// The samples that a calibration reads.
#pragma once

#include <cstdint>
#include <vector>

#include "core/models/vision_tower.h"

namespace gwq {

// One sequence of tokens, with its image if it has one.
struct CalibrationSample {
  std::vector<int32_t> tokens;     // at least 2; an id t < 0 is row ~t of what the tower makes of the tiles
  std::vector<int32_t> positions;  // [position_axes, tokens]; empty: each token's index, on every axis
  std::vector<PatchGrid> tiles;    // empty: no image
  std::vector<float> patches;      // [rows of all tiles, patch_floats]
};

using SampleSet = std::vector<CalibrationSample>;

}  // namespace gwq
