// Evaluations: a model or an artifact is measured, alone or against another one.
#include "core/base/status.h"
#include "core/evaluation/memory.h"
#include "core/io/json.h"
#include "core/jobs/kinds/memory.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {

std::string EvaluateJob::Json() const {
  nlohmann::json out = {{"target", target},
                        {"evaluation_id", evaluation_id},
                        {"source", source.Hex()},
                        {"reference", reference},
                        {"task", EvaluationTaskJson(task)}};
  if (reference_source) out["reference_source"] = reference_source->Hex();
  return CanonicalJson(out);
}

absl::StatusOr<EvaluateJob> EvaluateJob::Parse(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseSpecObject(json));
  EvaluateJob job;
  GWQ_ASSIGN_OR_RETURN(job.target, SpecText(spec, "target"));
  GWQ_ASSIGN_OR_RETURN(job.evaluation_id, SpecText(spec, "evaluation_id"));
  GWQ_ASSIGN_OR_RETURN(job.source, SpecDigest(spec, "source"));
  GWQ_ASSIGN_OR_RETURN(job.reference, SpecText(spec, "reference"));
  if (spec.contains("reference_source")) {
    GWQ_ASSIGN_OR_RETURN(job.reference_source, SpecDigest(spec, "reference_source"));
  }
  const auto task = spec.find("task");
  if (task == spec.end()) return InvalidField("spec.task", "missing");
  GWQ_ASSIGN_OR_RETURN(job.task, ParseEvaluationTask(*task, "task"));
  return job;
}

JobProduct EvaluateJob::Product() const { return {"evaluation", evaluation_id}; }

JobInputs EvaluateJob::Inputs() const {
  JobInputs inputs{.manifests = {source}};
  if (reference_source) inputs.manifests.push_back(*reference_source);
  inputs.AddManifest(task.dataset);
  return inputs;
}

absl::StatusOr<Plan> EvaluateJob::MakePlan(BlobStore& store, PassCache& /*passes*/) const {
  GWQ_ASSIGN_OR_RETURN(const uint64_t bytes, EvaluationMemory(store, source, reference_source, task, "evaluate.task"));
  return MemoryAlone(bytes);
}

EvaluateJob EvaluateJob::Example() {
  EvaluateJob job{"artifacts/a", "evaluation", ExampleManifest(0), "models/m", ExampleManifest(1), {}};
  job.task.dataset = ExampleManifest(2).Hex();
  return job;
}

}  // namespace gwq
