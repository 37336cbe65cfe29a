// One gradient pass with drawn labels: what each direction of a block's output matters (block_metrics.h), and what each
// form of an open matrix would cost (budget/rounding_loss.h).
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/calibration/gradient_walk.h"
#include "core/quant/budget/target.h"
#include "core/quant/job/block_metrics.h"
#include "core/quant/job/calibrated_packing.h"

namespace gwq {

// The stages whose metrics the pass finds.
[[nodiscard]] std::set<int> MetricStages(const Plan& plan, const Recipe& recipe);

// What the pass finds out for a plan. One stage at a time is added to. Not thread-safe.
class FisherVisitor final : public GradientVisitor {
 public:
  // All outlive it; `position.losses` and `metrics` have what an earlier attempt found. `tokens` of all samples of the
  // pass together. Saves `position` after each stage.
  FisherVisitor(const CalibratedPacking& job, int64_t tokens, JobPosition& position, BlockMetrics& metrics);

  [[nodiscard]] bool Wants(std::string_view tensor) const override { return Open(tensor) != nullptr; }
  [[nodiscard]] bool TakesEachSample() const override { return true; }
  [[nodiscard]] absl::Status Take(std::string_view tensor, std::span<const float> gradient) override;
  [[nodiscard]] bool WantsOutput(int stage) const override { return stages_.contains(stage); }
  [[nodiscard]] absl::Status TakeOutput(int stage, int64_t width, std::span<const float> gradient) override;
  [[nodiscard]] absl::Status EndStage(int stage) override;
  [[nodiscard]] absl::Status Reached(const WalkRecord& record) override;

 private:
  // Whose losses are not known yet; null if it is none.
  [[nodiscard]] const PlannedModule* Open(std::string_view tensor) const;

  const CalibratedPacking& job_;
  const float tokens_;
  JobPosition& position_;
  BlockMetrics& metrics_;
  std::map<std::string_view, const PlannedModule*> open_;
  const std::set<int> stages_;                      // whose metric is wanted
  std::map<std::string, std::vector<float>> sums_;  // of squared gradients per token, of one stage
};

}  // namespace gwq
