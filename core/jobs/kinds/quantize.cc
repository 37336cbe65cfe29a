// Quantizations: a model and a recipe become an artifact.
#include <fmt/format.h>

#include <utility>

#include "core/artifact/stored_model.h"
#include "core/base/status.h"
#include "core/calibration/dataset_samples.h"
#include "core/io/json.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"
#include "core/quant/pass_keys.h"
#include "core/spec/quantize_evaluations.h"

namespace gwq {
namespace {

absl::StatusOr<std::vector<EvaluationTask>> ParseTasks(const nlohmann::json& list) {
  if (!list.is_array()) return InvalidField("spec.evaluations", "not a list");
  std::vector<EvaluationTask> tasks;
  for (const nlohmann::json& task : list) {
    GWQ_ASSIGN_OR_RETURN(tasks.emplace_back(), ParseEvaluationTask(task, fmt::format("evaluations[{}]", tasks.size())));
  }
  return tasks;
}

}  // namespace

std::string QuantizeJob::Json() const {
  nlohmann::json out = {{"model", model},
                        {"artifact_id", artifact_id},
                        {"source", source.Hex()},
                        {"recipe", nlohmann::json::parse(RecipeJson(recipe))},
                        {"evaluations", nlohmann::json::array()}};
  for (const EvaluationTask& task : evaluations) out["evaluations"].push_back(EvaluationTaskJson(task));
  return CanonicalJson(out);
}

absl::StatusOr<QuantizeJob> QuantizeJob::Parse(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(nlohmann::json spec, ParseSpecObject(json));
  QuantizeJob job;
  GWQ_ASSIGN_OR_RETURN(job.model, SpecText(spec, "model"));
  GWQ_ASSIGN_OR_RETURN(job.artifact_id, SpecText(spec, "artifact_id"));
  GWQ_ASSIGN_OR_RETURN(job.source, SpecDigest(spec, "source"));
  auto recipe = spec.find("recipe");
  if (recipe == spec.end()) return InvalidField("spec.recipe", "missing");
  GWQ_ASSIGN_OR_RETURN(const OldTextEvaluation old, TakeOldTextEvaluation(*recipe));
  GWQ_ASSIGN_OR_RETURN(job.recipe, ParseRecipe(recipe->dump()));
  const auto evaluations = spec.find("evaluations");
  if (evaluations != spec.end()) {
    GWQ_ASSIGN_OR_RETURN(job.evaluations, ParseTasks(*evaluations));
    // A spec of this version has them all in its list.
    if (!old.given()) return job;
  }
  GWQ_ASSIGN_OR_RETURN(job.evaluations, QuantizeEvaluations(std::move(job.evaluations), old, job.recipe.threads));
  return job;
}

JobProduct QuantizeJob::Product() const { return {"artifact", artifact_id}; }

JobInputs QuantizeJob::Inputs() const {
  JobInputs inputs{.manifests = {source}};
  for (const EvaluationTask& task : evaluations) inputs.AddManifest(task.dataset);
  inputs.AddManifest(recipe.calibration.dataset);
  inputs.AddBlob(recipe.calibration.blob);
  return inputs;
}

absl::StatusOr<Plan> QuantizeJob::MakePlan(BlobStore& store, PassCache& passes) const {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> stored, StoredModel::Open(store, source));
  const absl::StatusOr<std::optional<StoredDataset>> dataset = OpenCalibrationDataset(store, recipe.calibration);
  if (!dataset.ok()) return PrefixField(dataset.status(), "quantize");
  absl::StatusOr<Plan> plan = PlanQuantization(*stored->model(), stored->manifest(), recipe,
                                               dataset->has_value() ? &(*dataset)->manifest() : nullptr);
  if (!plan.ok()) return PrefixField(plan.status(), "quantize");
  GWQ_RETURN_IF_ERROR(DivideIfKnown(store, source, recipe, passes, *plan));
  GWQ_RETURN_IF_ERROR(PlanEvaluations(store, source, evaluations, "quantize.evaluations", *plan));
  return plan;
}

QuantizeJob QuantizeJob::Example() {
  QuantizeJob job{"model", "artifact", ExampleManifest(0), {}};
  job.recipe.calibration.source = CalibrationSource::kFile;
  job.recipe.calibration.blob = ExampleBlob(0).Hex();
  for (const int index : {1, 2}) {
    EvaluationTask& task = job.evaluations.emplace_back();
    task.dataset = ExampleManifest(index).Hex();
  }
  return job;
}

}  // namespace gwq
