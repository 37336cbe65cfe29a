#include "core/quant/calibrated_packing.h"

#include <fmt/format.h>
#include <malloc.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/calibration/block_walk.h"
#include "core/calibration/gradient_walk.h"
#include "core/calibration/stage_runner.h"

namespace gwq {
namespace {

using Modules = std::map<std::string_view, const PlannedModule*>;

Modules ByTensor(const Plan& plan) {
  Modules out;
  for (const PlannedModule& module : plan.modules) out.emplace(module.tensor, &module);
  return out;
}

// What both walks share: which modules are still to be made, and saving how far they came.
class PackingWalk {
 public:
  PackingWalk(const CalibratedPacking& job, JobStep step, std::optional<double> loss)
      : job_(job), modules_(ByTensor(job.plan)), position_{step, {}, loss} {}

  [[nodiscard]] const PlannedModule* Planned(std::string_view tensor) const {
    const auto found = modules_.find(tensor);
    return found == modules_.end() ? nullptr : found->second;
  }
  [[nodiscard]] bool IsOpen(const PlannedModule& module, Needs needs) const {
    return module.needs == needs && !job_.packer.packed(module.tensor);
  }
  [[nodiscard]] bool IsOpen(std::string_view tensor, Needs needs) const {
    const PlannedModule* const module = Planned(tensor);
    return module != nullptr && IsOpen(*module, needs);
  }
  [[nodiscard]] absl::Status Save(const WalkRecord& record) {
    position_.walk = record;
    return job_.checkpoint.Save(position_, job_.samples);
  }

 protected:
  const CalibratedPacking& job_;

 private:
  const Modules modules_;
  JobPosition position_;
};

class GradientPacking final : public GradientVisitor {
 public:
  explicit GradientPacking(const CalibratedPacking& job) : walk_(job, JobStep::kGradients, {}), job_(job) {}
  [[nodiscard]] bool Wants(std::string_view tensor) const override { return walk_.IsOpen(tensor, Needs::kGradient); }
  [[nodiscard]] absl::Status Take(std::string_view tensor, std::span<const float> gradient) override {
    return job_.packer.Pack(*walk_.Planned(tensor), {gradient, {}});
  }
  [[nodiscard]] absl::Status Reached(const WalkRecord& record) override { return walk_.Save(record); }

 private:
  PackingWalk walk_;
  const CalibratedPacking& job_;
};

// Each stage goes on as it will be read back: every module of it is packed, or was, and its weight replaced.
class BlockPacking final : public BlockVisitor {
 public:
  BlockPacking(const CalibratedPacking& job, std::optional<double> loss)
      : walk_(job, JobStep::kBlocks, loss), job_(job) {}
  [[nodiscard]] bool WantsGram(std::string_view tensor) const override { return walk_.IsOpen(tensor, Needs::kGram); }
  [[nodiscard]] bool WantsTargets() const override { return false; }
  [[nodiscard]] bool Wants(int stage) const override {
    return std::ranges::any_of(job_.plan.modules, [&](const PlannedModule& module) {
      return module.stage == stage && walk_.IsOpen(module, Needs::kGram);
    });
  }

  [[nodiscard]] absl::Status Visit(VisitedBlock& block) override {
    for (const NamedWeight& named : block.weights()) {
      const PlannedModule* const module = walk_.Planned(named.name);
      if (module == nullptr || module->method == Method::kKeep) continue;
      GWQ_RETURN_IF_ERROR(job_.progress.Check());
      std::vector<float> values;
      if (job_.packer.packed(module->tensor)) {
        GWQ_ASSIGN_OR_RETURN(values, job_.packer.Values(*module));
      } else {
        GWQ_RETURN_IF_ERROR(Pack(*module, named, block, values));
      }
      GWQ_RETURN_IF_ERROR(block.SetValues(named, values));
      // Matrices of a few megabytes, each of another size, leave holes that the allocator does not fill: within thirty
      // blocks the process was seen to hold twice what it used.
      malloc_trim(0);
    }
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Reached(const WalkRecord& record) override { return walk_.Save(record); }

 private:
  absl::Status Pack(const PlannedModule& module, const NamedWeight& named, VisitedBlock& block,
                    std::vector<float>& values) {
    MatrixEvidence evidence;
    if (module.needs == Needs::kGram) {
      GWQ_ASSIGN_OR_RETURN(evidence.gram, block.Gram(named));
    }
    GWQ_RETURN_IF_ERROR(job_.packer.Pack(module, evidence, &values));
    block.DropGram(named);
    return absl::OkStatus();
  }

  PackingWalk walk_;
  const CalibratedPacking& job_;
};

bool AnyOpen(const CalibratedPacking& job, Needs needs) {
  return std::ranges::any_of(job.plan.modules, [&](const PlannedModule& module) {
    return module.needs == needs && !job.packer.packed(module.tensor);
  });
}

}  // namespace

absl::StatusOr<std::optional<double>> PackCalibrated(const CalibratedPacking& job, JobPosition position) {
  const std::unique_ptr<WeightLoader> loader = MakeWeightLoader(job.source, job.backend.backend());
  const Model& model = *job.source.model();
  BlobStore* const keep = job.checkpoint.keeps() ? &job.store : nullptr;
  std::optional<double> loss = position.loss;
  if (position.step == JobStep::kGradients && AnyNeeds(job.plan, Needs::kGradient)) {
    GWQ_ASSIGN_OR_RETURN(const auto runner, StageRunner::Create(model, *loader, job.backend.torch(), job.samples));
    GradientWalkOptions options;
    options.loss = job.recipe.gwq.loss;
    options.keep = keep;
    options.from = std::exchange(position.walk, std::nullopt);
    GradientPacking visitor(job);
    GWQ_ASSIGN_OR_RETURN(loss, WalkGradients(*runner, model, options, visitor, job.progress));
  }
  if (AnyOpen(job, Needs::kGram)) {
    GWQ_ASSIGN_OR_RETURN(const auto runner, StageRunner::Create(model, *loader, job.backend.torch(), job.samples));
    BlockWalkOptions options;
    options.keep = keep;
    options.from = std::move(position.walk);
    BlockPacking visitor(job, loss);
    GWQ_RETURN_IF_ERROR(WalkBlocks(*runner, options, visitor, job.progress));
  }
  return loss;
}

}  // namespace gwq
