#include "core/export/export.h"

#include "core/base/status.h"
#include "core/jobs/job_run.h"
#include "core/jobs/kinds/specs.h"

namespace gwq {

template <>
absl::StatusOr<JobOutput> RunJob(const ExportJob& job, const JobContext& context) {
  GWQ_ASSIGN_OR_RETURN(const ExportResult result,
                       ExportArtifact(context.store, job.source, job.options, context.progress));
  GWQ_ASSIGN_OR_RETURN(JobOutput out, OutputOf(context.store, result.model));
  // Of what the model is made for; a manifest for other programs names none.
  out.architecture = result.architecture;
  return out;
}

}  // namespace gwq
