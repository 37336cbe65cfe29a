// Quantizations: a model and a recipe become an artifact.
#include <fmt/format.h>

#include <utility>

#include "core/artifact/stored_model.h"
#include "core/base/status.h"
#include "core/calibration/dataset_samples.h"
#include "core/io/json.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"
#include "core/jobs/kinds/texts_apart.h"
#include "core/quant/contract.h"
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
  if (!contract.empty()) out["contract"] = QualityContractJson(contract);
  return CanonicalJson(out);
}

absl::StatusOr<QuantizeJob> QuantizeJob::Parse(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(nlohmann::json spec, ParseSpecObject(json));
  QuantizeJob job;
  GWQ_ASSIGN_OR_RETURN(job.model, SpecText(spec, "model"));
  GWQ_ASSIGN_OR_RETURN(job.artifact_id, SpecText(spec, "artifact_id"));
  GWQ_ASSIGN_OR_RETURN(job.source, SpecDigest(spec, "source"));
  if (const auto contract = spec.find("contract"); contract != spec.end()) {
    GWQ_ASSIGN_OR_RETURN(job.contract, ParseQualityContract(*contract, "contract"));
  }
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
  for (const NamedDigest& named : CalibrationDatasets(recipe.calibration)) inputs.AddManifest(named.digest);
  for (const NamedDigest& named : CalibrationBlobs(recipe.calibration)) inputs.AddBlob(named.digest);
  return inputs;
}

absl::StatusOr<Plan> QuantizeJob::MakePlan(BlobStore& store, PassCache& passes) const {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> stored, StoredModel::Open(store, source));
  const absl::StatusOr<std::vector<StoredDataset>> datasets = OpenCalibrationDatasets(store, recipe.calibration);
  if (!datasets.ok()) return PrefixField(datasets.status(), "quantize");
  DatasetManifests manifests;
  for (const StoredDataset& dataset : *datasets) manifests.push_back(&dataset.manifest());
  absl::StatusOr<Plan> plan = PlanQuantization(*stored->model(), stored->manifest(), recipe, manifests);
  if (!plan.ok()) return PrefixField(plan.status(), "quantize");
  if (const absl::Status apart = CheckTextsApart(store, recipe, evaluations); !apart.ok()) {
    return PrefixField(apart, "quantize");
  }
  GWQ_RETURN_IF_ERROR(DivideIfKnown(store, source, recipe, passes, *plan));
  GWQ_RETURN_IF_ERROR(PlanEvaluations(store, source, evaluations, "quantize.evaluations", *plan));
  GWQ_RETURN_IF_ERROR(CheckPlannedBits(contract, *plan, "quantize.contract"));
  return plan;
}

QuantizeJob QuantizeJob::Example() {
  QuantizeJob job{"model", "artifact", ExampleManifest(0), {}};
  job.recipe.calibration.source = CalibrationSource::kFile;
  job.recipe.calibration.blob = ExampleBlob(0).Hex();
  job.contract.max_mean_kl = 0.5;
  job.contract.floors = {{.evaluation = "0", .metric = "perplexity", .at_most = 100}};
  for (const int index : {1, 2}) {
    EvaluationTask& task = job.evaluations.emplace_back();
    task.dataset = ExampleManifest(index).Hex();
  }
  return job;
}

}  // namespace gwq
