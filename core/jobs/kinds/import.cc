// Imports: the files of an upload become a model or a dataset.
#include "core/base/status.h"
#include "core/io/json.h"
#include "core/jobs/kinds/memory.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {
namespace {

// A dataset's file and what its lines become, as a multiple of the file.
constexpr uint64_t kDatasetFactor = 10;
// One image at the limits of core/vision/image.h: its file, and at most four bytes per pixel while it is decoded.
constexpr uint64_t kDecodeBytes = uint64_t{320} << 20;

absl::StatusOr<uint64_t> DatasetBytes(BlobStore& store, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, digest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  uint64_t texts = 0, decode = 0;
  for (const ManifestFile& file : manifest.files) {
    if (file.path.ends_with(".jsonl") || file.path.ends_with(".txt")) {
      texts += file.size;
    } else {
      decode = kDecodeBytes;
    }
  }
  return kDatasetFactor * texts + decode;
}

}  // namespace

std::string ImportJob::Json() const {
  nlohmann::json out = {{"upload", upload}, {"model_id", model_id}, {"manifest", manifest.Hex()}};
  if (dataset) out["dataset"] = true;
  return CanonicalJson(out);
}

absl::StatusOr<ImportJob> ImportJob::Parse(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseSpecObject(json));
  ImportJob job;
  GWQ_ASSIGN_OR_RETURN(job.upload, SpecText(spec, "upload"));
  GWQ_ASSIGN_OR_RETURN(job.model_id, SpecText(spec, "model_id"));
  GWQ_ASSIGN_OR_RETURN(job.manifest, SpecDigest(spec, "manifest"));
  job.dataset = spec.contains("dataset");
  return job;
}

JobProduct ImportJob::Product() const { return {dataset ? "dataset" : "model", model_id}; }

JobInputs ImportJob::Inputs() const { return {.manifests = {manifest}}; }

absl::StatusOr<Plan> ImportJob::MakePlan(BlobStore& store, PassCache& /*passes*/) const {
  GWQ_ASSIGN_OR_RETURN(const BlobInfo info, store.Stat(manifest));
  uint64_t dataset_bytes = 0;
  if (dataset) {
    GWQ_ASSIGN_OR_RETURN(dataset_bytes, DatasetBytes(store, manifest));
  }
  return MemoryAlone(kStreamingBytes + ManifestMemory(info.size) + dataset_bytes);
}

ImportJob ImportJob::Example() { return {"upload", "model", ExampleManifest(0)}; }

}  // namespace gwq
