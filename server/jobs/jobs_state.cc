#include "server/jobs/jobs_state.h"

#include <fmt/format.h>

#include "core/base/status.h"
#include "core/jobs/job_kinds.h"

namespace gwq {

Job NewJob(const std::string& principal, std::string_view kind, std::string spec_json, std::string request_id) {
  Job job;
  job.principal = principal;
  job.kind = kind;
  job.spec_json = std::move(spec_json);
  job.request_id = std::move(request_id);
  return job;
}

absl::StatusOr<Job> PlanAndEnqueue(JobsState& state, Job job) {
  const JobKind* const kind = FindJobKind(job.kind);
  if (kind == nullptr) return absl::InternalError(fmt::format("'{}' is no kind of job", job.kind));
  GWQ_ASSIGN_OR_RETURN(job.memory_bytes, kind->plan(state.blobs, job.spec_json));
  if (job.memory_bytes > state.largest_device_bytes) {
    return absl::FailedPreconditionError(fmt::format(
        "the job needs {} MiB at its peak, the largest device has {} MiB; use a larger one, or a recipe with "
        "fewer calibration or evaluation tokens",
        job.memory_bytes >> 20, state.largest_device_bytes >> 20));
  }
  return state.jobs.Enqueue(std::move(job));
}

}  // namespace gwq
