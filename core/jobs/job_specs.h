// What each kind of job is told to do, as the spec_json of a Job. Names are for people and for the publication; digests
// decide.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/quant/recipe.h"

namespace gwq {

inline constexpr std::string_view kImportKind = "import";
inline constexpr std::string_view kQuantizeKind = "quantize";
inline constexpr std::string_view kExportKind = "export";

struct ImportSpec {
  std::string upload;    // id
  std::string model_id;  // name of the model to be
  Digest manifest;       // blob: the manifest as the client declared it
};
struct QuantizeSpec {
  std::string model;        // name of the source
  std::string artifact_id;  // name of the artifact to be
  Digest source;            // the model's manifest when the job was created
  Recipe recipe;
};
struct ExportSpec {
  std::string artifact;  // name of the source
  std::string model_id;  // name of the model to be
  std::string format;    // "hf-fp16"
  Digest source;         // the artifact's manifest when the job was created
};

// Canonical JSON: equal specs give equal text, which is how a repeated request_id is recognised.
[[nodiscard]] std::string SpecJson(const ImportSpec& spec);
[[nodiscard]] std::string SpecJson(const QuantizeSpec& spec);
[[nodiscard]] std::string SpecJson(const ExportSpec& spec);

// Strict: unknown or missing fields are INVALID_ARGUMENT naming "spec.<field>".
[[nodiscard]] absl::StatusOr<ImportSpec> ParseImportSpec(std::string_view json);
[[nodiscard]] absl::StatusOr<QuantizeSpec> ParseQuantizeSpec(std::string_view json);
[[nodiscard]] absl::StatusOr<ExportSpec> ParseExportSpec(std::string_view json);

}  // namespace gwq
