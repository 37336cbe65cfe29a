#include "core/quant/job/quantize.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "core/artifact/stored_dataset.h"
#include "core/artifact/stored_model.h"
#include "core/artifact/writer.h"
#include "core/backend/registry.h"
#include "core/base/status.h"
#include "core/base/thread_pool.h"
#include "core/calibration/dataset_samples.h"
#include "core/evaluation/evaluation.h"
#include "core/evaluation/task_tokens.h"
#include "core/io/json.h"
#include "core/quant/budget/target.h"
#include "core/quant/contract.h"
#include "core/quant/job/calibrated_packing.h"
#include "core/quant/job/job_checkpoint.h"
#include "core/quant/job/packer.h"
#include "core/quant/job/phase_meter.h"
#include "core/quant/job/read_samples.h"
#include "core/quant/quantizers.h"
#include "core/quant/report.h"
#include "core/spec/quality_gate.h"

namespace gwq {
namespace {

// Grows when the same recipe begins to give other bytes.
constexpr int kMethodVersion = 1;
// The same of several samples in a chat model's own words.
constexpr int kOwnTextVersion = 2;
// The same of recipes with the method "tuned".
constexpr int kTunedVersion = 4;
// The same of recipes with a target, whose forms those of core/quant/budget/choices.h are.
constexpr int kTargetVersion = 2;
// Of the masks of both halves of the samples: below, a report warns.
constexpr double kLeastJaccard = 0.2;

// Puts what is being measured before the phase: one evaluation's phases are those of the next.
class Measuring final : public Progress {
 public:
  Measuring(Progress& inner, std::string what) : inner_(inner), what_(std::move(what)) {}
  void Step(std::string_view phase, int64_t done, int64_t total) override {
    inner_.Step(fmt::format("{}: {}", what_, phase), done, total);
  }
  void Log(std::string_view line) override { inner_.Log(line); }
  absl::Status Check() override { return inner_.Check(); }

 private:
  Progress& inner_;
  const std::string what_;
};

class Job {
 public:
  Job(BlobStore& store, const StoredModel& source, const Recipe& recipe, const std::vector<EvaluationTask>& evaluations,
      const QualityContract& contract, CheckpointSlot& checkpoints, PassCache& passes, Progress& progress)
      : store_(store),
        source_(source),
        model_(*source.model()),
        recipe_(recipe),
        evaluations_(evaluations),
        contract_(contract),
        progress_(progress),
        meter_(SystemClock()),
        pool_(recipe.threads),
        tools_{pool_},
        writer_(store, source),
        packer_(source, recipe, writer_, tools_),
        checkpoints_(checkpoints),
        passes_(passes) {}

  absl::StatusOr<QuantizeResult> Run() {
    GWQ_ASSIGN_OR_RETURN(datasets_, OpenCalibrationDatasets(store_, recipe_.calibration));
    DatasetManifests manifests;
    for (const StoredDataset& dataset : datasets_) manifests.push_back(&dataset.manifest());
    GWQ_ASSIGN_OR_RETURN(plan_, PlanQuantization(model_, source_.manifest(), recipe_, manifests));
    GWQ_RETURN_IF_ERROR(PlanEvaluations(store_, source_.digest(), evaluations_, "evaluations", plan_));
    GWQ_RETURN_IF_ERROR(CheckPlannedBits(contract_, plan_, "contract"));
    most_matrix_bits_ = MostMatrixBits(plan_);
    if (calibrates()) {
      GWQ_ASSIGN_OR_RETURN(own_texts_, WritesOwnTexts(source_, recipe_, plan_));
    }
    JobCheckpoint checkpoint(store_, checkpoints_, packer_, recipe_, Producer());
    GWQ_ASSIGN_OR_RETURN(JobPosition position, checkpoint.Restore(plan_, samples_, progress_));
    BeginPhase("sample");
    GWQ_RETURN_IF_ERROR(CheckTexts());
    GWQ_RETURN_IF_ERROR(TakeSamples());
    if (calibrates()) GWQ_RETURN_IF_ERROR(Calibrate(checkpoint, std::move(position)));
    GWQ_RETURN_IF_ERROR(PackRest());
    GWQ_ASSIGN_OR_RETURN(const Digest digest, writer_.FinishArtifact(BytesRecipeJson(recipe_), Producer()));
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> artifact, StoredModel::Open(store_, digest));
    GWQ_RETURN_IF_ERROR(Measure(*artifact));
    GWQ_RETURN_IF_ERROR(EvaluateBeforeAndAfter(*artifact));
    meter_.End();
    return Result(*artifact);
  }

 private:
  // What the phases before freed, and the jobs before in this process, goes back to the system: it would count as this
  // phase's memory.
  void BeginPhase(std::string name) {
    CalibrationBackend::ReleaseMemory();
    meter_.Begin(std::move(name));
  }

  [[nodiscard]] bool calibrates() const {
    return recipe_.target.given() || AnyNeeds(plan_, Needs::kGradient) || AnyNeeds(plan_, Needs::kGram) ||
           AnyNeeds(plan_, Needs::kBlock);
  }

  // A text that cannot be measured ends the job here, and not when the artifact is made.
  absl::Status CheckTexts() {
    for (size_t i = 0; i < evaluations_.size(); ++i) {
      if (evaluations_[i].kind != EvaluationKind::kText) continue;
      GWQ_RETURN_IF_ERROR(TextTaskTokens(store_, source_, evaluations_[i], fmt::format("evaluations[{}]", i)).status());
    }
    return absl::OkStatus();
  }

  // Before the weights come.
  absl::Status TakeSamples() {
    if (!calibrates() || !samples_.empty()) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(samples_, ReadSamples(store_, source_, recipe_, plan_, datasets_, progress_));
    return absl::OkStatus();
  }

  absl::Status Calibrate(JobCheckpoint& checkpoint, JobPosition position) {
    report_.calibration_warnings = SampleWarnings(samples_, NeedsOf(plan_, recipe_));
    for (const std::string& warning : report_.calibration_warnings) {
      progress_.Log(fmt::format("warning: {}", warning));
    }
    BeginPhase("calibrate");
    GWQ_ASSIGN_OR_RETURN(const auto backend,
                         CalibrationBackend::Create(recipe_.threads, /*fast=*/AnyNeeds(plan_, Needs::kBlock)));
    tools_.solver = &backend->solver();
    const std::string producer = Producer();
    GWQ_ASSIGN_OR_RETURN(CalibrationFigures figures,
                         PackCalibrated({*backend, store_, source_, recipe_, plan_, samples_, packer_, writer_, pool_,
                                         checkpoint, progress_, passes_, producer},
                                        std::move(position)));
    report_.calibration_loss = figures.loss;
    report_.tuning = std::move(figures.tuning);
    report_.passes = figures.passes;
    NoteOverlap(figures.overlap);
    if (report_.passes.run + report_.passes.reused > 0) progress_.Log(PassesText(report_.passes));
    tools_.solver = nullptr;
    for (const CalibrationSample& sample : samples_) {
      report_.calibration_tokens += static_cast<int64_t>(sample.tokens.size());
    }
    report_.calibration_samples = static_cast<int64_t>(samples_.size());
    progress_.Log(fmt::format("calibrated on {} tokens in {} samples{}", report_.calibration_tokens, samples_.size(),
                              report_.calibration_loss ? fmt::format(", loss {:.4f}", *report_.calibration_loss) : ""));
    return absl::OkStatus();
  }

  void NoteOverlap(const MaskOverlap& overlap) {
    report_.mask_jaccard = overlap.jaccard();
    if (!report_.mask_jaccard || *report_.mask_jaccard >= kLeastJaccard) return;
    report_.calibration_warnings.push_back(
        fmt::format("the two halves of the samples would keep other weights: the Jaccard index of their masks is "
                    "{:.2f}, below {}; more samples make them alike",
                    *report_.mask_jaccard, kLeastJaccard));
    progress_.Log(fmt::format("warning: {}", report_.calibration_warnings.back()));
  }

  absl::Status PackRest() {
    BeginPhase("pack");
    const auto total = static_cast<int64_t>(plan_.modules.size());
    for (int64_t i = 0; i < total; ++i) {
      const PlannedModule& module = plan_.modules[static_cast<size_t>(i)];
      GWQ_RETURN_IF_ERROR(progress_.Check());
      progress_.Step("pack", i, total);
      if (writer_.BlobOf(module.tensor) != nullptr) continue;
      GWQ_RETURN_IF_ERROR(FindQuantizer(module.method) == nullptr ? writer_.Keep(module.tensor)
                                                                  : packer_.Pack(module, {}));
    }
    progress_.Step("pack", total, total);
    return absl::OkStatus();
  }

  // What determines the artifact's bytes besides source and recipe. Only what LibTorch computes depends on the machine.
  [[nodiscard]] std::string Producer() const {
    nlohmann::json out = {{"method_version", kMethodVersion}};
    if (calibrates()) {
      out["calibration_threads"] = recipe_.threads;
      if (own_texts_) out["own_text_version"] = kOwnTextVersion;
      if (AnyNeeds(plan_, Needs::kBlock)) out["tuned_version"] = kTunedVersion;
      if (recipe_.target.given()) out["target_version"] = kTargetVersion;
      out["isa"] = std::string(HostIsaName());
      out["libtorch"] = std::string(CalibrationBackend::LibraryVersion());
    }
    return CanonicalJson(out);
  }

  // Adds up what was stored, and holds it to the plan.
  absl::Status Measure(const StoredModel& artifact) {
    report_.modules = packer_.Reports(plan_);
    MeasureParts(artifact);
    for (const PlannedModule& module : plan_.modules) {
      const ManifestTensor* stored = artifact.Find(module.tensor);
      const ManifestTensor* before = source_.Find(module.tensor);
      if (stored == nullptr || stored->size != module.stored_bytes) {
        return absl::InternalError(fmt::format("{} was planned with {} bytes and stored with {}", module.tensor,
                                               module.stored_bytes, stored == nullptr ? 0 : stored->size));
      }
      report_.total_weights += module.weights;
      report_.total_bytes += stored->size;
      report_.source_bytes += before == nullptr ? 0 : before->size;
      if (module.kind != TensorKind::kLinear || !stored->packed) continue;
      report_.quantized_weights += module.weights;
      report_.quantized_bytes += stored->size;
    }
    return absl::OkStatus();
  }

  void MeasureParts(const StoredModel& artifact) {
    for (const ModelPart part : {ModelPart::kLanguage, ModelPart::kVision, ModelPart::kProjector}) {
      ReportPart sum;
      sum.part = part;
      for (const PlannedModule& module : plan_.modules) {
        const ManifestTensor* const stored = artifact.Find(module.tensor);
        if (module.part != part || stored == nullptr) continue;
        sum.weights += module.weights;
        sum.bytes += stored->size;
        if (module.kind != TensorKind::kLinear || !stored->packed) continue;
        sum.quantized_weights += module.weights;
        sum.quantized_bytes += stored->size;
        sum.outliers += stored->packed->outliers;
      }
      // The report's modules are in the plan's order, with those left out that were kept.
      auto planned = plan_.modules.begin();
      for (const ReportModule& module : report_.modules) {
        while (planned->tensor != module.tensor) ++planned;
        if (module.part != part || planned->kind != TensorKind::kLinear) continue;
        sum.norm += module.norm;
        sum.error += module.error;
      }
      if (sum.weights > 0) report_.parts.push_back(sum);
    }
  }

  absl::Status EvaluateBeforeAndAfter(const StoredModel& artifact) {
    for (const EvaluationTask& task : evaluations_) {
      BeginPhase(fmt::format("evaluate {}", task.title()));
      ReportEvaluation& line = report_.evaluations.emplace_back();
      if (task.kind != EvaluationKind::kText) {
        Measuring model(progress_, fmt::format("{} of the model", task.title()));
        GWQ_ASSIGN_OR_RETURN(EvaluationResult before,
                             RunEvaluation(store_, source_.digest(), std::nullopt, task, model));
        line.before = std::move(before.metrics);
      }
      Measuring made(progress_, fmt::format("{} of the artifact", task.title()));
      GWQ_ASSIGN_OR_RETURN(line.after, RunEvaluation(store_, artifact.digest(), source_.digest(), task, made));
      if (task.kind == EvaluationKind::kText) TakeReference(line);
    }
    return absl::OkStatus();
  }

  // A text's walk has read the reference too: its perplexity is the model's own, and no second walk is needed.
  static void TakeReference(ReportEvaluation& line) {
    const auto reference = std::ranges::find(line.after.metrics, "reference_perplexity", &EvaluationMetric::name);
    if (reference == line.after.metrics.end()) return;
    line.before.push_back({"perplexity", reference->value, std::nullopt});
    line.after.metrics.erase(reference);
  }

  // The artifact's manifest with the contract that it meets.
  absl::StatusOr<Digest> StoreGated(Manifest manifest, const QualityMeasures& measures) {
    manifest.quality_json = QualityGateJson({contract_, measures});
    GWQ_RETURN_IF_ERROR(CheckManifest(manifest));
    const std::string text = ManifestJson(manifest);
    return PutBlob(store_, std::as_bytes(std::span(text)));
  }

  absl::StatusOr<QuantizeResult> Result(const StoredModel& artifact) {
    const QualityMeasures measures = MeasuresOf(report_);
    report_.contract = contract_;
    report_.misses = CheckContract(contract_, measures);
    report_.source = source_.digest();
    report_.artifact = artifact.digest();
    if (!contract_.empty() && report_.misses.empty()) {
      GWQ_ASSIGN_OR_RETURN(report_.artifact, StoreGated(artifact.manifest(), measures));
    }
    report_.producer_json = Producer();
    report_.architecture = model_.config().architecture;
    report_.recipe = recipe_;
    report_.planned_memory_bytes = plan_.peak_memory_bytes;
    report_.phases = meter_.phases();
    report_.isa = std::string(HostIsaName());
    report_.threads = recipe_.threads;
    QuantizeResult result;
    result.artifact = report_.artifact;
    result.misses = report_.misses;
    result.stored_bytes = artifact.manifest().StoredBytes();
    result.quantized_weights = report_.quantized_weights;
    result.total_weights = report_.total_weights;
    result.matrix_bits_per_weight = report_.matrix_bits_per_weight();
    result.model_bits_per_weight = report_.model_bits_per_weight();
    result.most_matrix_bits = most_matrix_bits_;
    result.report_json = ReportJson(report_);
    result.report_markdown = ReportMarkdown(report_);
    result.passes = report_.passes;
    return result;
  }

  BlobStore& store_;
  const StoredModel& source_;
  const Model& model_;
  const Recipe& recipe_;
  const std::vector<EvaluationTask>& evaluations_;
  const QualityContract& contract_;
  Progress& progress_;
  PhaseMeter meter_;
  ThreadPool pool_;
  QuantizeTools tools_;
  ArtifactWriter writer_;
  Packer packer_;
  CheckpointSlot& checkpoints_;
  PassCache& passes_;
  std::vector<StoredDataset> datasets_;  // of the calibration
  Plan plan_;
  double most_matrix_bits_ = 0;
  bool own_texts_ = false;  // as WritesOwnTexts
  SampleSet samples_;
  Report report_;
};

}  // namespace

absl::StatusOr<QuantizeResult> QuantizeModel(BlobStore& store, const Digest& source, const Recipe& recipe,
                                             Progress& progress, const std::vector<EvaluationTask>& evaluations,
                                             CheckpointSlot* checkpoints, PassCache* passes,
                                             const QualityContract& contract) {
  GWQ_RETURN_IF_ERROR(CheckRecipe(recipe));
  for (size_t i = 0; i < evaluations.size(); ++i) {
    GWQ_RETURN_IF_ERROR(CheckEvaluationTask(evaluations[i], fmt::format("evaluations[{}]", i)));
  }
  GWQ_RETURN_IF_ERROR(CheckQualityContract(contract, "contract"));
  GWQ_RETURN_IF_ERROR(CheckMeasured(contract, evaluations, "contract"));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> model, StoredModel::Open(store, source));
  if (model->manifest().kind != "model") {
    return absl::FailedPreconditionError(
        fmt::format("{} is an {}; only a full-precision model can be quantized", source.Hex(), model->manifest().kind));
  }
  NoCheckpoints none;
  NoPassCache no_passes;
  return Job(store, *model, recipe, evaluations, contract, checkpoints == nullptr ? none : *checkpoints,
             passes == nullptr ? no_passes : *passes, progress)
      .Run();
}

}  // namespace gwq
