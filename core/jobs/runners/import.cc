#include "core/artifact/import.h"

#include "core/artifact/stored_dataset.h"
#include "core/base/status.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {

template <>
absl::StatusOr<JobOutput> RunJob(const ImportJob& job, const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(context.store, job.manifest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest upload, ParseManifest(json));
  GWQ_ASSIGN_OR_RETURN(const Digest made, job.dataset ? ImportDataset(context.store, upload, context.progress)
                                                      : ImportModel(context.store, upload, context.progress));
  return OutputOf(context.store, made);
}

}  // namespace gwq
