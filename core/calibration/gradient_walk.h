// Gradients of a model's matrices, one stage at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/calibration/stage_runner.h"
#include "core/calibration/walk_record.h"
#include "core/spec/recipe.h"

namespace gwq {

// Receives the gradients of a walk.
class GradientVisitor {
 public:
  virtual ~GradientVisitor() = default;
  // Whether the gradient of this tensor is wanted; of tensors of decoder blocks and of the vision tower only.
  [[nodiscard]] virtual bool Wants(std::string_view tensor) const = 0;
  // The gradient of one matrix, row-major, added up over all samples, or that of one of them (TakesEachSample); the
  // span is valid during the call.
  [[nodiscard]] virtual absl::Status Take(std::string_view tensor, std::span<const float> gradient) = 0;
  // Whether TakeHalf is called.
  [[nodiscard]] virtual bool WantsHalves() const { return false; }
  // The gradient of one matrix, added up over the first half of the samples that run through its stage, before those of
  // the others are added. Not of one sample, and not with TakesEachSample.
  [[nodiscard]] virtual absl::Status TakeHalf(std::string_view /*tensor*/, std::span<const float> /*gradient*/) {
    return absl::OkStatus();
  }
  // Whether the walk must go back as far as this stage (as TensorSpec::stage counts) even if no weight of it is wanted,
  // and the gradients with respect to its output are given to TakeOutput.
  [[nodiscard]] virtual bool WantsOutput(int /*stage*/) const { return false; }
  // The gradient with respect to a stage's output on one sample, [rows, width]; the span is valid during the call.
  [[nodiscard]] virtual absl::Status TakeOutput(int /*stage*/, int64_t /*width*/, std::span<const float> /*gradient*/) {
    return absl::OkStatus();
  }
  // Whether Take gets the gradients of one sample at a time, as they come, and not their sum.
  [[nodiscard]] virtual bool TakesEachSample() const { return false; }
  // All gradients of a stage (as TensorSpec::stage counts) were given.
  [[nodiscard]] virtual absl::Status EndStage(int /*stage*/) { return absl::OkStatus(); }
  // A stage is done in its phase, and `record` is how far the walk came. Called only where the walk keeps records.
  [[nodiscard]] virtual absl::Status Reached(const WalkRecord& record) = 0;
};

struct GradientWalkOptions {
  Loss loss = Loss::kLast;
  uint64_t state_memory = uint64_t{256} << 20;  // of the states held in memory; the rest goes to a temporary file
  BlobStore* keep = nullptr;                    // where states are kept for a later attempt; null: nowhere
  std::optional<WalkRecord> from = {};          // go on from there, with the same result
  // With a seed, the labels are drawn from the model's distribution (DrawnLabelLoss); else they are its most likely
  // ones.
  std::optional<uint64_t> label_seed = {};
};

// One forward and one backward pass over all samples. Forward: stages are loaded, run and dropped one by one, and the
// states between them are held. Backward: from the head down, each stage is loaded again, run on its stored input with
// autograd, its gradients go to the visitor, then it is dropped. The loss of a sample is that of
// core/calibration/loss.h at its last position or over all; that of the walk is the mean over the samples, and is
// returned.
//
// Runs on the calling thread alone apart from LibTorch's own pool; with one thread count, gradients are the same bits
// every time. Reports phases "forward, vision", "forward" and "backward" by stages. FAILED_PRECONDITION if the loss
// is not finite.
[[nodiscard]] absl::StatusOr<double> WalkGradients(StageRunner& runner, const Model& model,
                                                   const GradientWalkOptions& options, GradientVisitor& visitor,
                                                   Progress& progress);

}  // namespace gwq
