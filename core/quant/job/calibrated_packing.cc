#include "core/quant/job/calibrated_packing.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/calibration/block_walk.h"
#include "core/calibration/gradient_walk.h"
#include "core/calibration/stage_runner.h"
#include "core/quant/job/block_metrics.h"
#include "core/quant/job/fisher_pass.h"
#include "core/quant/job/kept_passes.h"
#include "core/quant/job/model_tuning.h"
#include "core/quant/job/tuning_points.h"
#include "core/quant/job/visited_objective.h"

namespace gwq {
namespace {

// Slots of what the block walk leaves for the tuning of the model.
constexpr int kTargets = 0;
constexpr int kImageRows = 1;
// The loss of every so many steps of the tuning is told.
constexpr int kToldSteps = 8;

using Modules = std::map<std::string_view, const PlannedModule*>;

Modules ByTensor(const Plan& plan) {
  Modules out;
  for (const PlannedModule& module : plan.modules) out.emplace(module.tensor, &module);
  return out;
}

// At most `count` of the samples, evenly.
SampleSet Spread(const SampleSet& samples, size_t count) {
  if (count >= samples.size()) return samples;
  SampleSet out;
  for (size_t i = 0; i < count; ++i) out.push_back(samples[i * samples.size() / count]);
  return out;
}

// Whether the scales of all blocks are tuned together in the end.
bool TunesModel(const CalibratedPacking& job) {
  const int stages = job.source.model()->stages();
  return job.recipe.tuned.model_steps > 0 && std::ranges::any_of(job.plan.modules, [&](const PlannedModule& module) {
           return module.needs == Needs::kBlock && module.stage < stages;
         });
}

int LastBlock(const CalibratedPacking& job) { return job.source.model()->stages() - 2; }

// What the walks share: which modules are still to be made, and saving how far they came.
class PackingWalk {
 public:
  PackingWalk(const CalibratedPacking& job, JobStep step, const JobPosition& reached)
      : job_(job), modules_(ByTensor(job.plan)), position_{step, {}, reached.loss, reached.metrics, reached.losses} {
    position_.passes = reached.passes;
    position_.overlap = reached.overlap;
    if (step == JobStep::kGradients) position_.gradients = reached.gradients;
  }

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
  [[nodiscard]] JobPosition& position() { return position_; }

 private:
  const CalibratedPacking& job_;
  const Modules modules_;
  JobPosition position_;
};

class GradientPacking final : public GradientVisitor {
 public:
  GradientPacking(const CalibratedPacking& job, const JobPosition& reached, KeptPasses& kept)
      : walk_(job, JobStep::kGradients, reached), job_(job), kept_(kept) {}
  [[nodiscard]] bool Wants(std::string_view tensor) const override { return walk_.IsOpen(tensor, Needs::kGradient); }
  [[nodiscard]] bool WantsHalves() const override { return true; }
  [[nodiscard]] absl::Status TakeHalf(std::string_view tensor, std::span<const float> gradient) override {
    masks_.TakeHalf(tensor, gradient);
    return absl::OkStatus();
  }
  [[nodiscard]] absl::Status Take(std::string_view tensor, std::span<const float> gradient) override {
    GWQ_RETURN_IF_ERROR(masks_.Compare(tensor, gradient, walk_.position().overlap));
    GWQ_RETURN_IF_ERROR(kept_.AddGradient(tensor, gradient, walk_.position().gradients));
    return job_.packer.Pack(*walk_.Planned(tensor), {gradient, {}});
  }
  [[nodiscard]] absl::Status Reached(const WalkRecord& record) override { return walk_.Save(record); }
  [[nodiscard]] const MaskOverlap& overlap() { return walk_.position().overlap; }
  [[nodiscard]] std::map<std::string, Digest> TakeGradients() { return std::move(walk_.position().gradients); }

 private:
  PackingWalk walk_;
  const CalibratedPacking& job_;
  KeptPasses& kept_;
  HalfMasks masks_;
};

// Each stage goes on as it will be read back: every module of it is packed, or was, and its weight replaced.
class BlockPacking final : public BlockVisitor {
 public:
  // `ends` gets what the model's last block makes of each sample, and the rows of its image, if the model is tuned.
  BlockPacking(const CalibratedPacking& job, const JobPosition& reached, const BlockMetrics& metrics,
               const StageRunner& runner, StateStore& ends)
      : walk_(job, JobStep::kBlocks, reached), job_(job), metrics_(metrics), runner_(runner), ends_(ends) {}
  [[nodiscard]] GramKind WantsGram(std::string_view tensor) const override {
    if (walk_.IsOpen(tensor, Needs::kBlock)) return GramKind::kDiagonal;
    return walk_.IsOpen(tensor, Needs::kGram) ? GramKind::kFull : GramKind::kNone;
  }
  [[nodiscard]] bool WantsTargets() const override { return AnyNeeds(job_.plan, Needs::kBlock); }
  [[nodiscard]] bool Wants(int stage) const override {
    if (TunesModel(job_) && stage == LastBlock(job_)) return true;
    return std::ranges::any_of(job_.plan.modules, [&](const PlannedModule& module) {
      return module.stage == stage && (walk_.IsOpen(module, Needs::kGram) || walk_.IsOpen(module, Needs::kBlock));
    });
  }

  [[nodiscard]] absl::Status Visit(VisitedBlock& block) override {
    if (TunesModel(job_) && block.stage() == LastBlock(job_)) GWQ_RETURN_IF_ERROR(TakeEnds(block));
    std::vector<const NamedWeight*> together;
    for (const NamedWeight& named : block.weights()) {
      const PlannedModule* const module = walk_.Planned(named.name);
      if (module == nullptr || module->method == Method::kKeep) continue;
      if (walk_.IsOpen(*module, Needs::kBlock)) {
        together.push_back(&named);
        continue;
      }
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
      CalibrationBackend::ReleaseMemory();
    }
    return together.empty() ? absl::OkStatus() : PackTogether(together, block);
  }
  [[nodiscard]] absl::Status Reached(const WalkRecord& record) override {
    if (!ends_.Holds(kTargets, 0)) return walk_.Save(record);
    JobPosition& position = walk_.position();
    position.step = JobStep::kModel;
    position.metrics.clear();
    GWQ_ASSIGN_OR_RETURN(position.model["targets"],
                         StoreStates(job_.store, ends_, kTargets, job_.samples.size(), job_.progress));
    if (job_.plan.sees_image) {
      GWQ_ASSIGN_OR_RETURN(position.model["images"],
                           StoreStates(job_.store, ends_, kImageRows, job_.samples.size(), job_.progress));
    }
    position.walk.reset();
    return job_.checkpoint.Save(position, job_.samples);
  }
  [[nodiscard]] const JobPosition& position() { return walk_.position(); }

 private:
  absl::Status TakeEnds(VisitedBlock& block) {
    for (const size_t sample : block.samples()) {
      GWQ_ASSIGN_OR_RETURN(std::vector<float> target, block.Target(sample));
      GWQ_RETURN_IF_ERROR(ends_.Put(kTargets, sample, std::move(target)));
      if (!runner_.image_rows(sample).empty()) {
        GWQ_RETURN_IF_ERROR(ends_.Put(kImageRows, sample, runner_.image_rows(sample)));
      }
    }
    return absl::OkStatus();
  }

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

  absl::Status PackTogether(const std::vector<const NamedWeight*>& matrices, VisitedBlock& block) {
    std::vector<const PlannedModule*> modules;
    std::vector<std::span<const float>> squares;
    for (const NamedWeight* const named : matrices) {
      modules.push_back(walk_.Planned(named->name));
      GWQ_ASSIGN_OR_RETURN(squares.emplace_back(), block.Gram(*named));
    }
    GWQ_ASSIGN_OR_RETURN(const std::vector<float> metric, metrics_.Get(block.stage()));
    GWQ_ASSIGN_OR_RETURN(VisitedObjective objective,
                         VisitedObjective::Create(block, matrices, metric, job_.backend.solver()));
    GWQ_RETURN_IF_ERROR(job_.packer.PackBlock(
        modules, squares, objective, job_.progress,
        [&](size_t matrix, std::span<const float> values) { return objective.SetValues(matrix, values); }));
    for (const NamedWeight* const named : matrices) block.DropGram(*named);
    CalibrationBackend::ReleaseMemory();
    return absl::OkStatus();
  }

  PackingWalk walk_;
  const CalibratedPacking& job_;
  const BlockMetrics& metrics_;
  const StageRunner& runner_;
  StateStore& ends_;
};

bool AnyOpen(const CalibratedPacking& job, Needs needs) {
  return std::ranges::any_of(job.plan.modules, [&](const PlannedModule& module) {
    return module.needs == needs && !job.packer.packed(module.tensor);
  });
}

// The walks one after the other; a position that an earlier attempt reached lies in one of them.
class Walks {
 public:
  Walks(const CalibratedPacking& job, JobPosition position)
      : job_(job),
        position_(std::move(position)),
        loader_(MakeWeightLoader(job.source, job.backend.backend())),
        keep_(job.checkpoint.keeps() ? &job.store : nullptr),
        metrics_(job.backend.solver()),
        ends_(uint64_t{256} << 20),
        kept_(job) {}

  absl::StatusOr<CalibrationFigures> Run() {
    GWQ_RETURN_IF_ERROR(metrics_.Load(job_.store, position_.metrics, job_.progress));
    if (position_.step <= JobStep::kFisher && FisherSamples(job_.plan, job_.recipe) > 0) {
      GWQ_RETURN_IF_ERROR(FisherPass());
    }
    if (position_.step <= JobStep::kGradients && AnyNeeds(job_.plan, Needs::kGradient)) {
      GWQ_RETURN_IF_ERROR(Gradients());
    }
    if (AnyOpen(job_, Needs::kGram) || AnyOpen(job_, Needs::kBlock)) GWQ_RETURN_IF_ERROR(Blocks());
    if (TunesModel(job_)) GWQ_RETURN_IF_ERROR(TuneModel());
    return CalibrationFigures{position_.loss, TuningOf(position_.model_losses, job_.recipe.tuned.model_steps),
                              position_.passes, position_.overlap};
  }

 private:
  [[nodiscard]] const Model& model() const { return *job_.source.model(); }

  // Where the walk of `step` goes on; what comes after it starts at the beginning.
  std::optional<WalkRecord> TakeRecord(JobStep step) {
    if (position_.step != step) return std::nullopt;
    return std::exchange(position_.walk, std::nullopt);
  }

  absl::Status Gradients() {
    if (!position_.walk) {
      GWQ_ASSIGN_OR_RETURN(const bool taken, kept_.TakeGradients(position_));
      if (taken) return absl::OkStatus();
    }
    GWQ_ASSIGN_OR_RETURN(const auto runner, StageRunner::Create(model(), *loader_, job_.backend.torch(), job_.samples));
    GradientWalkOptions options;
    options.loss = job_.recipe.gwq.loss;
    options.keep = keep_;
    options.from = TakeRecord(JobStep::kGradients);
    GradientPacking visitor(job_, position_, kept_);
    GWQ_ASSIGN_OR_RETURN(position_.loss, WalkGradients(*runner, model(), options, visitor, job_.progress));
    position_.walk.reset();
    position_.gradients.clear();
    position_.overlap = visitor.overlap();
    ++position_.passes.run;
    return kept_.KeepGradients(*position_.loss, position_.overlap, visitor.TakeGradients());
  }

  // Ends with the form of every matrix known.
  absl::Status FisherPass() {
    bool taken = false;
    if (!position_.walk) {
      GWQ_ASSIGN_OR_RETURN(taken, kept_.TakeFisher(position_, metrics_, keep_));
    }
    if (!taken) GWQ_RETURN_IF_ERROR(RunFisherPass());
    position_.metrics = metrics_.blobs();
    position_.walk.reset();
    if (!HasOpenModules(job_.plan)) return absl::OkStatus();
    DivideTarget(job_.recipe, position_.losses, job_.plan);
    job_.progress.Log(
        fmt::format("divided the target: {:.4f} bits per weight of the matrices, {} bytes in all; rounding to nearest "
                    "would cost {:.3g} nats per token",
                    job_.plan.matrix_bits_per_weight, job_.plan.total_bytes, job_.plan.rounding_loss));
    return absl::OkStatus();
  }

  absl::Status RunFisherPass() {
    const SampleSet samples = Spread(job_.samples, static_cast<size_t>(FisherSamples(job_.plan, job_.recipe)));
    GWQ_ASSIGN_OR_RETURN(const auto runner, StageRunner::Create(model(), *loader_, job_.backend.torch(), samples));
    GradientWalkOptions options;
    options.loss = Loss::kAll;
    options.label_seed = job_.recipe.seed;
    options.keep = keep_;
    options.from = TakeRecord(JobStep::kFisher);
    int64_t tokens = 0;
    for (const CalibrationSample& sample : samples) tokens += static_cast<int64_t>(sample.tokens.size());
    FisherVisitor visitor(job_, tokens, position_, metrics_);
    GWQ_RETURN_IF_ERROR(WalkGradients(*runner, model(), options, visitor, job_.progress).status());
    GWQ_RETURN_IF_ERROR(metrics_.Finish(nullptr, job_.progress));
    ++position_.passes.run;
    return kept_.KeepFisher(position_.losses, metrics_);
  }

  absl::Status Blocks() {
    GWQ_ASSIGN_OR_RETURN(const auto runner, StageRunner::Create(model(), *loader_, job_.backend.torch(), job_.samples));
    BlockWalkOptions options;
    options.keep = keep_;
    options.from = TakeRecord(JobStep::kBlocks);
    BlockPacking visitor(job_, position_, metrics_, *runner, ends_);
    GWQ_RETURN_IF_ERROR(WalkBlocks(*runner, options, visitor, job_.progress));
    if (keep_ != nullptr) position_ = visitor.position();
    return absl::OkStatus();
  }

  absl::Status TuneModel() {
    for (const auto& [name, slot] : {std::pair("targets", kTargets), {"images", kImageRows}}) {
      const auto kept = position_.model.find(name);
      if (ends_.Holds(slot, 0) || kept == position_.model.end()) continue;
      GWQ_RETURN_IF_ERROR(LoadStates(job_.store, kept->second, slot, job_.samples.size(), ends_, job_.progress));
    }
    // Head and embedding are read as they will be.
    for (const PlannedModule& module : job_.plan.modules) {
      if (module.method == Method::kKeep || job_.packer.packed(module.tensor)) continue;
      GWQ_RETURN_IF_ERROR(job_.progress.Check());
      GWQ_RETURN_IF_ERROR(job_.packer.Pack(module, {}));
    }
    GWQ_ASSIGN_OR_RETURN(const auto tuning, ModelTuning::Create(job_, ends_, kTargets, kImageRows));
    if (const auto learned = position_.model.find("learned"); learned != position_.model.end()) {
      GWQ_RETURN_IF_ERROR(tuning->Restore(job_.store, learned->second));
    }
    const int steps = job_.recipe.tuned.model_steps;
    for (int step = position_.model_steps; step < steps; ++step) {
      job_.progress.Step("tune", step, steps);
      GWQ_ASSIGN_OR_RETURN(const double loss, tuning->Step(step));
      if (step % kToldSteps == 0 || step == steps - 1) {
        job_.progress.Log(fmt::format("tuning, step {} of {}: divergence {:.4f}", step + 1, steps, loss));
      }
      // A checkpoint of a version that kept no losses has none of the steps before.
      if (step == 0 || !position_.model_losses.empty()) AddTuningLoss(step, steps, loss, position_.model_losses);
      if (keep_ == nullptr) continue;
      position_.step = JobStep::kModel;
      position_.model_steps = step + 1;
      GWQ_ASSIGN_OR_RETURN(position_.model["learned"], tuning->Store(job_.store));
      GWQ_RETURN_IF_ERROR(job_.checkpoint.Save(position_, job_.samples));
    }
    job_.progress.Step("tune", steps, steps);
    return tuning->Finish();
  }

  const CalibratedPacking& job_;
  JobPosition position_;
  const std::unique_ptr<WeightLoader> loader_;
  BlobStore* const keep_;
  BlockMetrics metrics_;
  StateStore ends_;
  KeptPasses kept_;
};

}  // namespace

absl::StatusOr<CalibrationFigures> PackCalibrated(const CalibratedPacking& job, JobPosition position) {
  return Walks(job, std::move(position)).Run();
}

}  // namespace gwq
