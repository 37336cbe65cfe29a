#include "core/spec/job_specs.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

constexpr size_t kMaxIdLength = 63;
constexpr JsonLimits kSpecLimits{.max_bytes = size_t{64} << 20};

absl::StatusOr<nlohmann::json> ParseObject(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(nlohmann::json value, ParseJson("spec", json, kSpecLimits));
  if (!value.is_object()) return InvalidField("spec", "not a JSON object");
  return value;
}

absl::StatusOr<std::string> Text(const nlohmann::json& spec, const char* key) {
  const auto found = spec.find(key);
  if (found == spec.end() || !found->is_string()) {
    return InvalidField(fmt::format("spec.{}", key), "missing or not a string");
  }
  return found->get<std::string>();
}

absl::StatusOr<Digest> DigestAt(const nlohmann::json& spec, const char* key) {
  GWQ_ASSIGN_OR_RETURN(const std::string hex, Text(spec, key));
  return Digest::Parse(hex);
}

void AddDigest(const nlohmann::json& value, std::vector<Digest>& out) {
  if (!value.is_string()) return;
  if (auto digest = Digest::Parse(value.get_ref<const std::string&>()); digest.ok()) out.push_back(*digest);
}

bool IsIdCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

}  // namespace

std::string SpecJson(const ImportJob& job) {
  nlohmann::json out = {{"upload", job.upload}, {"model_id", job.model_id}, {"manifest", job.manifest.Hex()}};
  if (job.dataset) out["dataset"] = true;
  return CanonicalJson(out);
}

std::string SpecJson(const QuantizeJob& job) {
  nlohmann::json out = {{"model", job.model},
                        {"artifact_id", job.artifact_id},
                        {"source", job.source.Hex()},
                        {"recipe", nlohmann::json::parse(RecipeJson(job.recipe))}};
  for (const EvaluationTask& task : job.evaluations) out["evaluations"].push_back(EvaluationTaskJson(task));
  return CanonicalJson(out);
}

std::string SpecJson(const ExportJob& job) {
  return CanonicalJson(
      {{"artifact", job.artifact}, {"model_id", job.model_id}, {"format", job.format}, {"source", job.source.Hex()}});
}

std::string SpecJson(const EvaluateJob& job) {
  nlohmann::json out = {{"target", job.target},
                        {"evaluation_id", job.evaluation_id},
                        {"source", job.source.Hex()},
                        {"reference", job.reference},
                        {"task", EvaluationTaskJson(job.task)}};
  if (job.reference_source) out["reference_source"] = job.reference_source->Hex();
  return CanonicalJson(out);
}

absl::StatusOr<ImportJob> ParseImportJob(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseObject(json));
  ImportJob job;
  GWQ_ASSIGN_OR_RETURN(job.upload, Text(spec, "upload"));
  GWQ_ASSIGN_OR_RETURN(job.model_id, Text(spec, "model_id"));
  GWQ_ASSIGN_OR_RETURN(job.manifest, DigestAt(spec, "manifest"));
  job.dataset = spec.contains("dataset");
  return job;
}

absl::StatusOr<QuantizeJob> ParseQuantizeJob(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseObject(json));
  QuantizeJob job;
  GWQ_ASSIGN_OR_RETURN(job.model, Text(spec, "model"));
  GWQ_ASSIGN_OR_RETURN(job.artifact_id, Text(spec, "artifact_id"));
  GWQ_ASSIGN_OR_RETURN(job.source, DigestAt(spec, "source"));
  const auto recipe = spec.find("recipe");
  if (recipe == spec.end()) return InvalidField("spec.recipe", "missing");
  GWQ_ASSIGN_OR_RETURN(job.recipe, ParseRecipe(recipe->dump()));
  const auto evaluations = spec.find("evaluations");
  if (evaluations == spec.end()) return job;
  if (!evaluations->is_array()) return InvalidField("spec.evaluations", "not a list");
  for (const nlohmann::json& task : *evaluations) {
    GWQ_ASSIGN_OR_RETURN(job.evaluations.emplace_back(),
                         ParseEvaluationTask(task, fmt::format("evaluations[{}]", job.evaluations.size())));
  }
  return job;
}

absl::StatusOr<ExportJob> ParseExportJob(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseObject(json));
  ExportJob job;
  GWQ_ASSIGN_OR_RETURN(job.artifact, Text(spec, "artifact"));
  GWQ_ASSIGN_OR_RETURN(job.model_id, Text(spec, "model_id"));
  GWQ_ASSIGN_OR_RETURN(job.format, Text(spec, "format"));
  GWQ_ASSIGN_OR_RETURN(job.source, DigestAt(spec, "source"));
  return job;
}

absl::StatusOr<EvaluateJob> ParseEvaluateJob(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseObject(json));
  EvaluateJob job;
  GWQ_ASSIGN_OR_RETURN(job.target, Text(spec, "target"));
  GWQ_ASSIGN_OR_RETURN(job.evaluation_id, Text(spec, "evaluation_id"));
  GWQ_ASSIGN_OR_RETURN(job.source, DigestAt(spec, "source"));
  GWQ_ASSIGN_OR_RETURN(job.reference, Text(spec, "reference"));
  if (spec.contains("reference_source")) {
    GWQ_ASSIGN_OR_RETURN(job.reference_source, DigestAt(spec, "reference_source"));
  }
  const auto task = spec.find("task");
  if (task == spec.end()) return InvalidField("spec.task", "missing");
  GWQ_ASSIGN_OR_RETURN(job.task, ParseEvaluationTask(*task, "task"));
  return job;
}

absl::StatusOr<JobProduct> ProductOf(std::string_view job_kind, std::string_view spec_json) {
  if (job_kind == kImportKind) {
    GWQ_ASSIGN_OR_RETURN(const ImportJob job, ParseImportJob(spec_json));
    return JobProduct{job.dataset ? "dataset" : "model", job.model_id};
  }
  if (job_kind == kQuantizeKind) {
    GWQ_ASSIGN_OR_RETURN(const QuantizeJob job, ParseQuantizeJob(spec_json));
    return JobProduct{"artifact", job.artifact_id};
  }
  if (job_kind == kEvaluateKind) {
    GWQ_ASSIGN_OR_RETURN(const EvaluateJob job, ParseEvaluateJob(spec_json));
    return JobProduct{"evaluation", job.evaluation_id};
  }
  GWQ_ASSIGN_OR_RETURN(const ExportJob job, ParseExportJob(spec_json));
  return JobProduct{"model", job.model_id};
}

std::vector<Digest> ManifestsOfSpec(std::string_view json) {
  std::vector<Digest> out;
  const auto spec = ParseObject(json);
  if (!spec.ok()) return out;
  for (const char* key : {"manifest", "source", "reference_source"}) {
    if (spec->contains(key)) AddDigest((*spec)[key], out);
  }
  const auto add_dataset = [&](const nlohmann::json& task) {
    if (task.is_object() && task.contains("dataset")) AddDigest(task["dataset"], out);
  };
  if (spec->contains("task")) add_dataset((*spec)["task"]);
  if (spec->contains("evaluations")) {
    for (const nlohmann::json& task : (*spec)["evaluations"]) add_dataset(task);
  }
  return out;
}

std::vector<Digest> BlobsOfSpec(std::string_view json) {
  std::vector<Digest> out;
  const auto spec = ParseObject(json);
  if (!spec.ok()) return out;
  const nlohmann::json::json_pointer blob("/recipe/calibration/blob");
  if (spec->contains(blob)) AddDigest((*spec)[blob], out);
  return out;
}

absl::Status CheckResourceId(std::string_view field, std::string_view id) {
  if (id.empty() || id.size() > kMaxIdLength || !std::all_of(id.begin(), id.end(), IsIdCharacter) ||
      !std::isalnum(static_cast<unsigned char>(id.front()))) {
    return InvalidField(
        field, fmt::format("'{}' is not a name: 1 to 63 of a-z, 0-9, '.', '_' and '-', the first a letter or digit",
                           id.substr(0, 80)));
  }
  return absl::OkStatus();
}

}  // namespace gwq
