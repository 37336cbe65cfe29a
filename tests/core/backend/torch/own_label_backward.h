// The calibration's loss as a step of a recorded pass.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "core/backend/torch/torch_backend.h"
#include "core/calibration/loss.h"

namespace gwq::testing {

// OwnLabelLoss of `rows` rows of logits, and back from it; NaN where the pass fails.
inline double OwnLabelBackward(GradientPass& pass, Activation logits, size_t rows, int64_t vocabulary,
                               double positions) {
  std::vector<float> values(rows * static_cast<size_t>(vocabulary));
  const absl::Status read = pass.Read(logits, values);
  EXPECT_TRUE(read.ok()) << read;
  const double loss = OwnLabelLoss(values, static_cast<size_t>(vocabulary), positions);
  const absl::Status back = pass.Backward(std::move(logits), values);
  EXPECT_TRUE(back.ok()) << back;
  return read.ok() && back.ok() ? loss : NAN;
}

}  // namespace gwq::testing
