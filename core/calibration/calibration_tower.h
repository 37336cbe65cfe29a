// The vision tower's part of a calibration walk.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/torch/torch_backend.h"
#include "core/base/progress.h"
#include "core/calibration/calibration.h"
#include "core/models/model.h"

namespace gwq {

// Gradients of those of `weights` that the walk wants, to its sink, after a backward pass that was prepared by
// PrepareGradients.
[[nodiscard]] absl::StatusOr<std::vector<const NamedWeight*>> PrepareGradients(TorchBackend& backend,
                                                                               const CalibrationWalk& walk,
                                                                               const std::vector<NamedWeight>& weights);
[[nodiscard]] absl::Status SinkGradients(TorchBackend& backend, const CalibrationWalk& walk,
                                         std::span<const NamedWeight* const> wanted, Progress& progress);

// Walks the tower's stages over all tiles of the walk's picture: forward and, after the decoder's way back, backward.
// Holds the inputs of all stages between the two.
class TowerWalk {
 public:
  // All outlive it; `model` has a tower.
  TowerWalk(const Model& model, WeightLoader& loader, TorchBackend& backend, const CalibrationWalk& walk,
            Progress& progress)
      : model_(model), loader_(loader), backend_(backend), walk_(walk), progress_(progress) {}

  // The image rows [image tokens, hidden]. INVALID_ARGUMENT where tiles and patches do not fit the tower.
  [[nodiscard]] absl::StatusOr<std::vector<float>> Forward();
  // `gradient` is that of the loss with respect to the image rows. Stages below the lowest one with a wanted weight are
  // not run again. Reports phase "backward" from `done` of `total` on.
  [[nodiscard]] absl::Status Backward(std::vector<float> gradient, int done, int total);
  [[nodiscard]] int stages() const { return model_.vision()->stages(); }

 private:
  [[nodiscard]] absl::Status StageBackward(int stage, std::vector<float>& gradient);
  [[nodiscard]] bool Wanted(int stage) const;

  const Model& model_;
  WeightLoader& loader_;
  TorchBackend& backend_;
  const CalibrationWalk& walk_;
  Progress& progress_;
  VisionLayout layout_;
  std::vector<std::vector<float>> inputs_;  // by stage
};

}  // namespace gwq
