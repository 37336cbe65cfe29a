// Gradients of a model's matrices, one block at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/backend/torch/torch_backend.h"
#include "core/base/progress.h"
#include "core/models/model.h"
#include "core/spec/recipe.h"

namespace gwq {

// Takes the gradient of one matrix, row-major; the span is valid during the call.
using GradientSink = std::function<absl::Status(std::string_view tensor, std::span<const float> gradient)>;

struct CalibrationWalk {
  // At least 2, each below the vocabulary's size; an id t < 0 is row ~t of what the tower makes of the picture.
  std::span<const int32_t> tokens;
  std::span<const int32_t> positions;  // [position_axes, tokens]; empty: each token's index, on every axis
  // A picture's tiles and their patches, one after the other; empty: none.
  std::span<const PatchGrid> tiles;
  std::span<const float> patches;
  Loss loss = Loss::kLast;
  std::function<bool(std::string_view tensor)> wanted;  // among the weights of decoder blocks and vision tower
  GradientSink sink;
};

// One forward and one backward pass of the sample. Forward: stages are loaded, run and dropped one by one, the inputs
// of the blocks are kept. Backward: from the head down, each block is loaded again, run on its stored input with
// autograd, its gradients go to the sink, then it is dropped. A picture goes through the vision tower first, stage by
// stage likewise, and the gradient of its rows goes back through it last. The label is the model's own largest logit.
// Returns the loss.
//
// `loader` gives weights of `backend`, and must not keep them alive. Runs on the calling thread alone apart from
// LibTorch's own pool; with one thread count, gradients are the same bits every time. Reports phases "forward, vision",
// "forward" and "backward" by stages.
[[nodiscard]] absl::StatusOr<double> WalkGradients(const Model& model, WeightLoader& loader, TorchBackend& backend,
                                                   const CalibrationWalk& walk, Progress& progress);

}  // namespace gwq
