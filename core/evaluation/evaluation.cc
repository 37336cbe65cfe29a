#include "core/evaluation/evaluation.h"

#include <memory>

#include "core/artifact/stored_model.h"
#include "core/backend/registry.h"
#include "core/base/status.h"
#include "core/evaluation/measure.h"
#include "core/evaluation/model_check.h"

namespace gwq {
namespace {

absl::Status MeasureBy(EvaluationRun& run, EvaluationResult& out) {
  switch (run.task.kind) {
    case EvaluationKind::kText:
      return MeasureText(run, out);
    case EvaluationKind::kChoices:
      return MeasureChoices(run, out);
    case EvaluationKind::kVqa:
    case EvaluationKind::kGrounding:
      return MeasureImages(run, out);
  }
  return absl::InternalError("unknown kind of evaluation");
}

}  // namespace

absl::StatusOr<EvaluationResult> RunEvaluation(BlobStore& store, const Digest& model,
                                               const std::optional<Digest>& reference, const EvaluationTask& task,
                                               Progress& progress) {
  GWQ_RETURN_IF_ERROR(CheckEvaluationTask(task, "task"));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> measured, StoredModel::Open(store, model));
  std::unique_ptr<const StoredModel> against;
  if (reference) {
    GWQ_ASSIGN_OR_RETURN(against, StoredModel::Open(store, *reference));
  }
  GWQ_RETURN_IF_ERROR(CheckEvaluationModels(*measured, against.get(), task, "task"));
  EvaluationResult out;
  out.task = task;
  out.model = model;
  out.reference = reference;
  out.architecture = measured->model()->config().architecture;
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend, CreateBackend(kHostDevice, {.threads = task.threads}));
  EvaluationRun run{store, *measured, against.get(), task, *backend, progress};
  GWQ_RETURN_IF_ERROR(MeasureBy(run, out));
  return out;
}

}  // namespace gwq
