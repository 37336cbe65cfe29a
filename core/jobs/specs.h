// What each kind of job is asked to do, as it is stored in Job::spec_json (canonical JSON). A spec names manifests by
// digest, so that a job's input cannot change between its creation and its last attempt.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/quant/recipe.h"

namespace gwq {

inline constexpr std::string_view kImportKind = "import";
inline constexpr std::string_view kQuantizeKind = "quantize";
inline constexpr std::string_view kExportKind = "export";

struct ImportJob {
  std::string upload;    // id
  std::string model_id;  // of the model to be
  Digest manifest;       // the uploaded files as declared, a stored blob
};
struct QuantizeJob {
  std::string model;  // id
  std::string artifact_id;
  Digest source;  // the model's manifest when the job was created
  Recipe recipe;
};
struct ExportJob {
  std::string artifact;  // id
  std::string model_id;  // of the model to be
  std::string format;    // "hf-fp16"
  Digest source;         // the artifact's manifest
};

[[nodiscard]] std::string SpecJson(const ImportJob& job);
[[nodiscard]] std::string SpecJson(const QuantizeJob& job);
[[nodiscard]] std::string SpecJson(const ExportJob& job);
// INVALID_ARGUMENT naming the missing or malformed field.
[[nodiscard]] absl::StatusOr<ImportJob> ParseImportJob(std::string_view json);
[[nodiscard]] absl::StatusOr<QuantizeJob> ParseQuantizeJob(std::string_view json);
[[nodiscard]] absl::StatusOr<ExportJob> ParseExportJob(std::string_view json);

// Manifests that a spec of any kind names: what a live job keeps alive. Empty for text that is no spec.
[[nodiscard]] std::vector<Digest> ManifestsOfSpec(std::string_view json);
// Blobs it names beside those (a calibration text).
[[nodiscard]] std::vector<Digest> BlobsOfSpec(std::string_view json);

// [a-z0-9][a-z0-9._-]{0,62}, else INVALID_ARGUMENT at `field`.
[[nodiscard]] absl::Status CheckResourceId(std::string_view field, std::string_view id);

}  // namespace gwq
