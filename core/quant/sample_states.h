// Sizes of the hidden states that a job's calibration holds.
#pragma once

#include <cstdint>

#include "core/quant/plan.h"

namespace gwq {

// Of one sample in bytes, where nothing else is said. A tower's sizes are 0 if no sample has an image.
struct SampleStates {
  uint64_t samples = 0;
  uint64_t tokens = 0;
  uint64_t text = 0;        // between two blocks of the decoder
  uint64_t stages = 0;      // of the decoder whose inputs a walk forth and back holds at once
  uint64_t tower = 0;       // between two stages of the vision tower
  uint64_t tower_rows = 0;  // rows of such a state
  uint64_t tower_stages = 0;
  uint64_t image_rows = 0;  // the rows that the tower makes
  uint64_t widest = 0;      // values of a row of the widest output of a stage, the tower's included
  uint64_t layout = 0;      // tokens, positions and what the tower is told of its rows, held for every sample
};

// `plan.samples` and `plan.sees_image` must be filled.
[[nodiscard]] SampleStates StatesOf(const ModelConfig& config, const Plan& plan, const Recipe& recipe);

}  // namespace gwq
