#include "core/export/export.h"

#include "core/base/status.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {

template <>
absl::StatusOr<JobOutput> RunJob(const ExportJob& job, const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const ExportResult result,
                       ExportArtifact(context.store, job.source, job.format, context.progress));
  return OutputOf(context.store, result.model);
}

}  // namespace gwq
