#include "core/jobs/runners/job_runners.h"

#include "core/base/status.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {

absl::StatusOr<JobOutput> OutputOf(BlobStore& store, const Digest& manifest) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, manifest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest made, ParseManifest(json));
  JobOutput out;
  out.kind = made.kind;
  out.manifest = manifest;
  out.stored_bytes = made.StoredBytes();
  out.architecture = made.architecture;
  out.source = made.source;
  return out;
}

const std::vector<JobRunner>& JobRunners() {
  static const std::vector<JobRunner> runners = RowsOf(JobSpecs(), []<class Spec>(std::type_identity<Spec>) {
    return JobRunner{Spec::kKind, [](const JobContext& context) -> absl::StatusOr<JobOutput> {
                       GWQ_ASSIGN_OR_RETURN(const Spec spec, Spec::Parse(context.spec_json));
                       return RunJob(spec, context);
                     }};
  });
  return runners;
}

}  // namespace gwq
