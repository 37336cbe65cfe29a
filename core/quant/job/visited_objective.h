// The objective of a block that a walk visits.
#pragma once

#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/solver.h"
#include "core/calibration/block_walk.h"
#include "core/quant/block_objective.h"

namespace gwq {

// The loss of a sample is the weighted mean over the rows of its output of d^T M d, with d the row less the target's
// and M the metric; without a metric, of the mean of d^2. A row's weight is 1 over the mean square of the target's row:
// what reads it is a norm, which divides by the root of that. Some models have a few tokens that are a thousand times
// larger than all others in the blocks of the middle (arXiv 2402.17762), and nothing else would be learned there. At
// most ten times the weight of the median row. All outlive it; the walk's visitor must want targets.
class VisitedObjective final : public BlockObjective {
 public:
  // Asks for the gradients of `matrices`. `metric` is [width, width] of the block's output, or empty.
  [[nodiscard]] static absl::StatusOr<VisitedObjective> Create(VisitedBlock& block,
                                                               std::vector<const NamedWeight*> matrices,
                                                               std::span<const float> metric, const Solver& solver);

  [[nodiscard]] int stage() const override { return block_.stage(); }
  [[nodiscard]] size_t samples() const override { return block_.samples().size(); }
  [[nodiscard]] absl::Status SetValues(size_t matrix, std::span<const float> values) override {
    return block_.SetValues(*matrices_[matrix], values);
  }
  [[nodiscard]] absl::StatusOr<double> Loss(size_t sample) override;
  [[nodiscard]] absl::StatusOr<double> LossBackward(size_t sample) override;
  [[nodiscard]] absl::StatusOr<std::span<const float>> Gradient(size_t matrix) const override {
    return block_.Gradient(*matrices_[matrix]);
  }
  void DropGradients() override;

 private:
  VisitedObjective(VisitedBlock& block, std::vector<const NamedWeight*> matrices, std::span<const float> metric,
                   const Solver& solver)
      : block_(block), matrices_(std::move(matrices)), metric_(metric), solver_(solver) {}
  // The loss of an output, which becomes the gradient of the loss with respect to it.
  [[nodiscard]] absl::StatusOr<double> Measure(std::span<float> output, std::span<const float> target) const;

  VisitedBlock& block_;
  const std::vector<const NamedWeight*> matrices_;
  const std::span<const float> metric_;
  const Solver& solver_;
};

}  // namespace gwq
