// Exports: an artifact becomes a model in full precision.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/jobs/kinds/memory.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {
namespace {

// A packed matrix is mapped as a whole when it is opened. What is dense goes through in pieces.
uint64_t LargestPacked(const Manifest& artifact) {
  uint64_t largest = 0;
  for (const ManifestShard& shard : artifact.shards) {
    for (const ManifestTensor& tensor : shard.tensors) {
      if (tensor.packed) largest = std::max(largest, tensor.size);
    }
  }
  return largest;
}

}  // namespace

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

absl::StatusOr<Plan> ExportJob::MakePlan(BlobStore& store, PassCache& /*passes*/) const {
  GWQ_RETURN_IF_ERROR(CheckFormat("format", format));
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, source, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  return MemoryAlone(kStreamingBytes + ManifestMemory(json.size()) + LargestPacked(manifest));
}

absl::Status ExportJob::CheckFormat(std::string_view field, std::string_view format) {
  if (format == "hf-fp16") return absl::OkStatus();
  return InvalidField(field, fmt::format("'{}' is not known; use hf-fp16", format));
}

ExportJob ExportJob::Example() { return {"artifact", "model", "hf-fp16", ExampleManifest(0)}; }

}  // namespace gwq
