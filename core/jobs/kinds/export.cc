// Exports: an artifact becomes a model in full precision.
#include <fmt/format.h>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/jobs/kinds/memory.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {

std::string ExportJob::Json() const {
  return CanonicalJson({{"artifact", artifact}, {"model_id", model_id}, {"format", format}, {"source", source.Hex()}});
}

absl::StatusOr<ExportJob> ExportJob::Parse(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseSpecObject(json));
  ExportJob job;
  GWQ_ASSIGN_OR_RETURN(job.artifact, SpecText(spec, "artifact"));
  GWQ_ASSIGN_OR_RETURN(job.model_id, SpecText(spec, "model_id"));
  GWQ_ASSIGN_OR_RETURN(job.format, SpecText(spec, "format"));
  GWQ_ASSIGN_OR_RETURN(job.source, SpecDigest(spec, "source"));
  return job;
}

JobProduct ExportJob::Product() const { return {"model", model_id}; }

JobInputs ExportJob::Inputs() const { return {.manifests = {source}}; }

absl::StatusOr<Plan> ExportJob::MakePlan(BlobStore& store) const {
  GWQ_RETURN_IF_ERROR(CheckFormat("format", format));
  GWQ_ASSIGN_OR_RETURN(const BlobInfo manifest, store.Stat(source));
  return MemoryAlone(kStreamingBytes + ManifestMemory(manifest.size));
}

absl::Status ExportJob::CheckFormat(std::string_view field, std::string_view format) {
  if (format == "hf-fp16") return absl::OkStatus();
  return InvalidField(field, fmt::format("'{}' is not known; use hf-fp16", format));
}

ExportJob ExportJob::Example() { return {"artifact", "model", "hf-fp16", ExampleManifest(0)}; }

}  // namespace gwq
