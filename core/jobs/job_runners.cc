#include "core/jobs/job_runners.h"

#include "core/artifact/import.h"
#include "core/base/status.h"
#include "core/evaluation/evaluation.h"
#include "core/evaluation/stored_dataset.h"
#include "core/export/export.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/quant/quantize.h"
#include "core/spec/job_specs.h"

namespace gwq {
namespace {

absl::StatusOr<Manifest> ReadManifest(BlobStore& store, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, digest, kMaxManifestBytes));
  return ParseManifest(json);
}

absl::StatusOr<JobOutput> Made(BlobStore& store, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifest(store, digest));
  JobOutput out;
  out.kind = manifest.kind;
  out.manifest = digest;
  out.stored_bytes = manifest.StoredBytes();
  out.architecture = manifest.architecture;
  out.source = manifest.source;
  return out;
}

absl::StatusOr<JobOutput> RunImport(BlobStore& store, std::string_view spec_json, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const ImportJob job, ParseImportJob(spec_json));
  GWQ_ASSIGN_OR_RETURN(const Manifest upload, ReadManifest(store, job.manifest));
  GWQ_ASSIGN_OR_RETURN(const Digest made,
                       job.dataset ? ImportDataset(store, upload, progress) : ImportModel(store, upload, progress));
  return Made(store, made);
}

absl::StatusOr<JobOutput> RunQuantize(BlobStore& store, std::string_view spec_json, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const QuantizeJob job, ParseQuantizeJob(spec_json));
  GWQ_ASSIGN_OR_RETURN(QuantizeResult result, QuantizeModel(store, job.source, job.recipe, progress, job.evaluations));
  GWQ_ASSIGN_OR_RETURN(JobOutput out, Made(store, result.artifact));
  out.report_json = std::move(result.report_json);
  out.report_markdown = std::move(result.report_markdown);
  return out;
}

absl::StatusOr<JobOutput> RunExport(BlobStore& store, std::string_view spec_json, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const ExportJob job, ParseExportJob(spec_json));
  GWQ_ASSIGN_OR_RETURN(const ExportResult result, ExportArtifact(store, job.source, job.format, progress));
  return Made(store, result.model);
}

absl::StatusOr<JobOutput> RunEvaluate(BlobStore& store, std::string_view spec_json, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const EvaluateJob job, ParseEvaluateJob(spec_json));
  GWQ_ASSIGN_OR_RETURN(const EvaluationResult result,
                       RunEvaluation(store, job.source, job.reference_source, job.task, progress));
  GWQ_ASSIGN_OR_RETURN(const Digest digest, StoreEvaluation(store, result));
  GWQ_ASSIGN_OR_RETURN(JobOutput out, Made(store, digest));
  out.architecture = result.architecture;
  out.report_json = EvaluationJson(result);
  out.report_markdown = EvaluationMarkdown(result);
  return out;
}

}  // namespace

const std::vector<JobRunner>& JobRunners() {
  static const std::vector<JobRunner> runners = {
      {kImportKind, RunImport}, {kQuantizeKind, RunQuantize}, {kExportKind, RunExport}, {kEvaluateKind, RunEvaluate}};
  return runners;
}

}  // namespace gwq
