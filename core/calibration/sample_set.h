// The samples that a calibration reads.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/models/vision_tower.h"

namespace gwq {

// One sequence of tokens, with its images if it has any.
struct CalibrationSample {
  std::vector<int32_t> tokens;     // at least 2; an id t < 0 is row ~t of what the tower makes of the tiles
  std::vector<int32_t> positions;  // [position_axes, tokens]; empty: each token's index, on every axis
  std::vector<PatchGrid> tiles;    // empty: no image
  std::vector<float> patches;      // [rows of all tiles, patch_floats]; empty if read_patches makes them
  // Makes the same patches at each call, so that those of many samples need not be held.
  std::function<absl::StatusOr<std::vector<float>>()> read_patches = {};
};

using SampleSet = std::vector<CalibrationSample>;

}  // namespace gwq
