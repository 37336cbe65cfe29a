#include "core/jobs/job_runner.h"

#include <fmt/format.h>

#include <array>

#include "core/artifact/import.h"
#include "core/artifact/manifest.h"
#include "core/base/status.h"
#include "core/jobs/job_specs.h"
#include "core/quant/quantize.h"

namespace gwq {
namespace {

constexpr uint64_t kMaxManifestBytes = 512ULL << 20;

absl::StatusOr<Manifest> ReadManifestBlob(BlobStore& store, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, digest, kMaxManifestBytes));
  return ParseManifest(json);
}

absl::StatusOr<JobOutcome> OutcomeOf(BlobStore& store, const Digest& digest) {
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ReadManifestBlob(store, digest));
  JobOutcome outcome;
  outcome.kind = manifest.kind;
  outcome.manifest = digest;
  outcome.stored_bytes = manifest.StoredBytes();
  outcome.architecture = manifest.architecture;
  outcome.source = manifest.source;
  return outcome;
}

absl::StatusOr<JobOutcome> RunImport(std::string_view spec_json, BlobStore& store, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const ImportSpec spec, ParseImportSpec(spec_json));
  GWQ_ASSIGN_OR_RETURN(const Manifest declared, ReadManifestBlob(store, spec.manifest));
  GWQ_ASSIGN_OR_RETURN(const Digest model, ImportModel(store, declared, progress));
  return OutcomeOf(store, model);
}

absl::StatusOr<JobOutcome> RunQuantize(std::string_view spec_json, BlobStore& store, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const QuantizeSpec spec, ParseQuantizeSpec(spec_json));
  GWQ_ASSIGN_OR_RETURN(QuantizeResult result, QuantizeModel(store, spec.source, spec.recipe, progress));
  GWQ_ASSIGN_OR_RETURN(JobOutcome outcome, OutcomeOf(store, result.artifact));
  outcome.report_json = std::move(result.report_json);
  outcome.report_markdown = std::move(result.report_markdown);
  return outcome;
}

absl::StatusOr<JobOutcome> RunExport(std::string_view spec_json, BlobStore& store, Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const ExportSpec spec, ParseExportSpec(spec_json));
  GWQ_ASSIGN_OR_RETURN(const ExportResult result, ExportArtifact(store, spec.source, spec.format, progress));
  return OutcomeOf(store, result.model);
}

struct Runner {
  std::string_view kind;
  absl::StatusOr<JobOutcome> (*run)(std::string_view spec_json, BlobStore& store, Progress& progress);
};

// The table of kinds: a new one is a line here, its spec, and its entry in job_kinds.cc.
constexpr std::array<Runner, 3> kRunners = {
    {{kImportKind, RunImport}, {kQuantizeKind, RunQuantize}, {kExportKind, RunExport}}};

}  // namespace

absl::StatusOr<JobOutcome> RunJob(std::string_view kind, std::string_view spec_json, BlobStore& store,
                                  Progress& progress) {
  std::string known;
  for (const Runner& runner : kRunners) {
    if (runner.kind == kind) return runner.run(spec_json, store, progress);
    known += fmt::format(" {}", runner.kind);
  }
  return absl::UnimplementedError(fmt::format("this worker knows no job kind '{}'; it knows{}", kind, known));
}

}  // namespace gwq
