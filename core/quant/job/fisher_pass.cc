#include "core/quant/job/fisher_pass.h"

#include <utility>

#include "core/base/status.h"
#include "core/quant/budget/rounding_loss.h"

namespace gwq {

std::set<int> MetricStages(const Plan& plan, const Recipe& recipe) {
  std::set<int> stages;
  if (recipe.tuned.metric_samples == 0) return stages;
  for (const PlannedModule& module : plan.modules) {
    if (module.needs == Needs::kBlock) stages.insert(module.stage);
  }
  return stages;
}

FisherVisitor::FisherVisitor(const CalibratedPacking& job, int64_t tokens, JobPosition& position, BlockMetrics& metrics)
    : job_(job),
      tokens_(static_cast<float>(tokens)),
      position_(position),
      metrics_(metrics),
      stages_(MetricStages(job.plan, job.recipe)) {
  for (const PlannedModule& module : job.plan.modules) {
    if (module.is_open()) open_.emplace(module.tensor, &module);
  }
}

const PlannedModule* FisherVisitor::Open(std::string_view tensor) const {
  const auto module = open_.find(tensor);
  const bool unknown = module != open_.end() && !position_.losses.contains(module->second->tensor);
  return unknown ? module->second : nullptr;
}

absl::Status FisherVisitor::Take(std::string_view tensor, std::span<const float> gradient) {
  std::vector<float>& sum = sums_[std::string(tensor)];
  sum.resize(gradient.size());
  // A sample's gradient is that of the mean over all tokens, whose labels are drawn independently: the mean square of a
  // token's gradient is the number of tokens times the sum of squares of the samples' gradients.
  job_.pool.ParallelFor(static_cast<int64_t>(sum.size()), 4096, [&](int64_t begin, int64_t end, int) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      sum[i] += tokens_ * gradient[i] * gradient[i];
  });
  return absl::OkStatus();
}

absl::Status FisherVisitor::TakeOutput(int stage, int64_t width, std::span<const float> gradient) {
  return metrics_.Add(stage, width, gradient);
}

absl::Status FisherVisitor::EndStage(int /*stage*/) {
  for (auto& [tensor, sum] : sums_) {
    GWQ_RETURN_IF_ERROR(job_.progress.Check());
    const PlannedModule* const module = Open(tensor);
    GWQ_ASSIGN_OR_RETURN(const DenseTensor weights, job_.source.Dense(tensor));
    GWQ_ASSIGN_OR_RETURN(position_.losses[tensor],
                         RoundingLosses(weights.view, sum, module->choices, tensor, job_.pool));
    sum = {};
  }
  sums_.clear();
  return absl::OkStatus();
}

absl::Status FisherVisitor::Reached(const WalkRecord& record) {
  GWQ_RETURN_IF_ERROR(metrics_.Finish(&job_.store, job_.progress));
  position_.metrics = metrics_.blobs();
  position_.walk = record;
  return job_.checkpoint.Save(position_, job_.samples);
}

}  // namespace gwq
