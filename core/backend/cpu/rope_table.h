// Cosines and sines of a batch's positions, computed once a pass.
#pragma once

#include <vector>

#include "core/backend/backend.h"

namespace gwq {

class RopeTable {
 public:
  // Fills the table for the batch unless it already holds this rope's. INVALID_ARGUMENT if sections do not fit the
  // frequencies or the batch's position axes. As transformers computes them: cos(float(position) * inverse_frequency)
  // * attention_factor, all in FP32.
  [[nodiscard]] absl::Status Prepare(const Rope& rope, const Batch& batch);
  // Turns one head of one row in place.
  void Rotate(int64_t row, float* head) const;

 private:
  Rope rope_;
  int64_t half_ = 0;
  std::vector<float> cosines_;  // [rows, half]
  std::vector<float> sines_;
};

}  // namespace gwq
