#include "core/jobs/job_kinds.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/artifact/stored_model.h"
#include "core/base/status.h"
#include "core/evaluation/memory.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/spec/job_specs.h"

namespace gwq {
namespace {

// Process, libraries and the buffers of a step that streams: measured at under 160 MB for the import of SmolLM2.
constexpr uint64_t kStreamingBytes = uint64_t{256} << 20;
// A dataset's file and what its lines become, as a multiple of the file.
constexpr uint64_t kDatasetFactor = 10;
// One image at the limits of core/vision/image.h: its file, and at most four bytes a pixel while it is decoded.
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

Plan MemoryAlone(uint64_t bytes) {
  Plan plan;
  plan.peak_memory_bytes = bytes;
  return plan;
}

absl::StatusOr<Plan> PlanImport(BlobStore& store, std::string_view spec_json) {
  GWQ_ASSIGN_OR_RETURN(const ImportJob job, ParseImportJob(spec_json));
  // The manifest is parsed twice (declared and imported); its tree takes a few times its text.
  GWQ_ASSIGN_OR_RETURN(const BlobInfo manifest, store.Stat(job.manifest));
  uint64_t dataset = 0;
  if (job.dataset) {
    GWQ_ASSIGN_OR_RETURN(dataset, DatasetBytes(store, job.manifest));
  }
  return MemoryAlone(kStreamingBytes + 8 * manifest.size + dataset);
}

absl::StatusOr<Plan> PlanQuantize(BlobStore& store, std::string_view spec_json) {
  GWQ_ASSIGN_OR_RETURN(const QuantizeJob job, ParseQuantizeJob(spec_json));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> model, StoredModel::Open(store, job.source));
  GWQ_ASSIGN_OR_RETURN(Plan plan, PlanQuantization(*model->model(), model->manifest(), job.recipe));
  for (size_t i = 0; i < job.evaluations.size(); ++i) {
    // The artifact is not made yet; the source is the larger one of the two.
    GWQ_ASSIGN_OR_RETURN(const uint64_t measured, EvaluationMemory(store, job.source, job.source, job.evaluations[i],
                                                                   fmt::format("quantize.evaluations[{}]", i)));
    plan.peak_memory_bytes = std::max(plan.peak_memory_bytes, measured);
  }
  return plan;
}

absl::StatusOr<Plan> PlanExport(BlobStore& store, std::string_view spec_json) {
  GWQ_ASSIGN_OR_RETURN(const ExportJob job, ParseExportJob(spec_json));
  if (job.format != "hf-fp16") return InvalidField("format", "'" + job.format + "' is not known; use hf-fp16");
  GWQ_ASSIGN_OR_RETURN(const BlobInfo manifest, store.Stat(job.source));
  return MemoryAlone(kStreamingBytes + 8 * manifest.size);
}

absl::StatusOr<Plan> PlanEvaluate(BlobStore& store, std::string_view spec_json) {
  GWQ_ASSIGN_OR_RETURN(const EvaluateJob job, ParseEvaluateJob(spec_json));
  GWQ_ASSIGN_OR_RETURN(const uint64_t bytes,
                       EvaluationMemory(store, job.source, job.reference_source, job.task, "evaluate.task"));
  return MemoryAlone(bytes);
}

}  // namespace

const std::vector<JobKind>& JobKinds() {
  static const std::vector<JobKind> kinds = {{kImportKind, PlanImport},
                                             {kQuantizeKind, PlanQuantize},
                                             {kExportKind, PlanExport},
                                             {kEvaluateKind, PlanEvaluate}};
  return kinds;
}

const JobKind* FindJobKind(std::string_view name) {
  for (const JobKind& kind : JobKinds()) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

bool IsRetryable(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
      return true;
    default:
      return false;
  }
}

}  // namespace gwq
