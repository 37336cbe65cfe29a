// What each kind of job is asked to do, as it is stored in Job::spec_json (canonical JSON). A spec names manifests by
// digest, so that a job's input cannot change between its creation and its last attempt.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/spec/evaluation_task.h"
#include "core/spec/recipe.h"

namespace gwq {

inline constexpr std::string_view kImportKind = "import";
inline constexpr std::string_view kQuantizeKind = "quantize";
inline constexpr std::string_view kExportKind = "export";
inline constexpr std::string_view kEvaluateKind = "evaluate";

struct ImportJob {
  std::string upload;    // id
  std::string model_id;  // of the model or dataset to be
  Digest manifest;       // the uploaded files as declared, a stored blob
  bool dataset = false;
};
struct QuantizeJob {
  std::string model;  // id
  std::string artifact_id;
  Digest source;  // the model's manifest when the job was created
  Recipe recipe;
  // Run on the model and on the artifact, for a table of the report.
  std::vector<EvaluationTask> evaluations = {};
};
struct ExportJob {
  std::string artifact;  // id
  std::string model_id;  // of the model to be
  std::string format;    // "hf-fp16"
  Digest source;         // the artifact's manifest
};
struct EvaluateJob {
  std::string target;  // "models/{id}" or "artifacts/{id}"
  std::string evaluation_id;
  Digest source;          // the target's manifest
  std::string reference;  // name of the reference; empty: none
  std::optional<Digest> reference_source;
  EvaluationTask task;
};

[[nodiscard]] std::string SpecJson(const ImportJob& job);
[[nodiscard]] std::string SpecJson(const QuantizeJob& job);
[[nodiscard]] std::string SpecJson(const ExportJob& job);
[[nodiscard]] std::string SpecJson(const EvaluateJob& job);
// INVALID_ARGUMENT naming the missing or malformed field.
[[nodiscard]] absl::StatusOr<ImportJob> ParseImportJob(std::string_view json);
[[nodiscard]] absl::StatusOr<QuantizeJob> ParseQuantizeJob(std::string_view json);
[[nodiscard]] absl::StatusOr<ExportJob> ParseExportJob(std::string_view json);
[[nodiscard]] absl::StatusOr<EvaluateJob> ParseEvaluateJob(std::string_view json);

// An entry's kind and id.
struct JobProduct {
  std::string kind;  // "model", "artifact", "dataset" or "evaluation"
  std::string id;
};
// What a job of this kind and spec makes visible.
[[nodiscard]] absl::StatusOr<JobProduct> ProductOf(std::string_view job_kind, std::string_view spec_json);

// Manifests that a spec of any kind names: what a live job keeps alive. Empty for text that is no spec.
[[nodiscard]] std::vector<Digest> ManifestsOfSpec(std::string_view json);
// Blobs it names beside those (a calibration text).
[[nodiscard]] std::vector<Digest> BlobsOfSpec(std::string_view json);

// [a-z0-9][a-z0-9._-]{0,62}, else INVALID_ARGUMENT at `field`.
[[nodiscard]] absl::Status CheckResourceId(std::string_view field, std::string_view id);

}  // namespace gwq
