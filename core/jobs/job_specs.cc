#include "core/jobs/job_specs.h"

#include <fmt/format.h>

#include <initializer_list>
#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// An object with exactly the named fields.
absl::StatusOr<Json> ParseObject(std::string_view json, std::initializer_list<std::string_view> fields) {
  GWQ_ASSIGN_OR_RETURN(Json object, ParseJson("spec", json));
  if (!object.is_object()) return InvalidField("spec", "is no JSON object");
  for (const std::string_view field : fields) {
    if (!object.contains(std::string(field))) return InvalidField(fmt::format("spec.{}", field), "is missing");
  }
  if (object.size() != fields.size())
    return InvalidField("spec", fmt::format("has fields other than {}", fmt::join(fields, ", ")));
  return object;
}

absl::Status ReadText(const Json& object, const char* field, std::string& to) {
  if (!object[field].is_string()) return InvalidField(fmt::format("spec.{}", field), "is no string");
  to = object[field].get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadDigest(const Json& object, const char* field, Digest& to) {
  std::string text;
  GWQ_RETURN_IF_ERROR(ReadText(object, field, text));
  const auto digest = Digest::Parse(text);
  if (!digest.ok()) return InvalidField(fmt::format("spec.{}", field), MessageOf(digest.status()));
  to = *digest;
  return absl::OkStatus();
}

}  // namespace

std::string SpecJson(const ImportSpec& spec) {
  return CanonicalJson({{"upload", spec.upload}, {"model_id", spec.model_id}, {"manifest", spec.manifest.Hex()}});
}

std::string SpecJson(const QuantizeSpec& spec) {
  return CanonicalJson({{"model", spec.model},
                        {"artifact_id", spec.artifact_id},
                        {"source", spec.source.Hex()},
                        {"recipe", Json::parse(RecipeJson(spec.recipe))}});
}

std::string SpecJson(const ExportSpec& spec) {
  return CanonicalJson({{"artifact", spec.artifact},
                        {"model_id", spec.model_id},
                        {"format", spec.format},
                        {"source", spec.source.Hex()}});
}

absl::StatusOr<ImportSpec> ParseImportSpec(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const Json object, ParseObject(json, {"upload", "model_id", "manifest"}));
  ImportSpec spec;
  GWQ_RETURN_IF_ERROR(ReadText(object, "upload", spec.upload));
  GWQ_RETURN_IF_ERROR(ReadText(object, "model_id", spec.model_id));
  GWQ_RETURN_IF_ERROR(ReadDigest(object, "manifest", spec.manifest));
  return spec;
}

absl::StatusOr<QuantizeSpec> ParseQuantizeSpec(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const Json object, ParseObject(json, {"model", "artifact_id", "source", "recipe"}));
  QuantizeSpec spec;
  GWQ_RETURN_IF_ERROR(ReadText(object, "model", spec.model));
  GWQ_RETURN_IF_ERROR(ReadText(object, "artifact_id", spec.artifact_id));
  GWQ_RETURN_IF_ERROR(ReadDigest(object, "source", spec.source));
  GWQ_ASSIGN_OR_RETURN(spec.recipe, ParseRecipe(object["recipe"].dump()));
  return spec;
}

absl::StatusOr<ExportSpec> ParseExportSpec(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const Json object, ParseObject(json, {"artifact", "model_id", "format", "source"}));
  ExportSpec spec;
  GWQ_RETURN_IF_ERROR(ReadText(object, "artifact", spec.artifact));
  GWQ_RETURN_IF_ERROR(ReadText(object, "model_id", spec.model_id));
  GWQ_RETURN_IF_ERROR(ReadText(object, "format", spec.format));
  GWQ_RETURN_IF_ERROR(ReadDigest(object, "source", spec.source));
  return spec;
}

}  // namespace gwq
