#include "server/jobs/jobs_state.h"

#include <fmt/format.h>

#include "core/base/status.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/jobs/spec_texts.h"
#include "server/jobs/known_passes.h"

namespace gwq {
namespace {

constexpr int64_t kRoomRetryMillis = 60'000;

}  // namespace

uint64_t RoomOnDisk(const JobsState& state) {
  const uint64_t free = state.free_bytes(), keep = state.limits.keep_free_bytes;
  return free > keep ? free - keep : 0;
}

absl::Status CheckRoom(const JobsState& state, uint64_t bytes) {
  const uint64_t free = state.free_bytes();
  const uint64_t keep = state.limits.keep_free_bytes;
  if (free >= keep && bytes <= free - keep) return absl::OkStatus();
  return WithRetryDelay(
      absl::ResourceExhaustedError(fmt::format("the disk has {} MiB free, {} more are needed and {} are kept free; "
                                               "delete models or artifacts that are not needed, or use a larger disk",
                                               free >> 20, bytes >> 20, keep >> 20)),
      kRoomRetryMillis);
}

Job NewJob(const std::string& principal, std::string_view kind, std::string spec_json, std::string request_id) {
  Job job;
  job.principal = principal;
  job.kind = kind;
  job.spec_json = std::move(spec_json);
  job.request_id = std::move(request_id);
  return job;
}

absl::StatusOr<Plan> PlanJob(const JobsState& state, const Job& job) {
  KnownPasses passes(state, job.principal);
  GWQ_ASSIGN_OR_RETURN(const JobKind* const kind, FindJobKind(job.kind));
  GWQ_ASSIGN_OR_RETURN(Plan plan, kind->plan(state.blobs, passes, job.spec_json));
  if (plan.peak_memory_bytes > state.largest_device_bytes) {
    return absl::FailedPreconditionError(fmt::format(
        "the job needs {} MiB at its peak, the largest device has {} MiB; use a larger one, or a recipe with "
        "fewer calibration or evaluation tokens",
        plan.peak_memory_bytes >> 20, state.largest_device_bytes >> 20));
  }
  return plan;
}

absl::StatusOr<Job> PlanAndEnqueue(JobsState& state, Job job) {
  GWQ_RETURN_IF_ERROR(CheckRoom(state, 0));
  GWQ_ASSIGN_OR_RETURN(const Plan plan, PlanJob(state, job));
  GWQ_RETURN_IF_ERROR(CheckRoom(state, plan.quantized_bytes + plan.scratch_disk_bytes));
  job.memory_bytes = plan.peak_memory_bytes;
  job.disk_bytes = plan.scratch_disk_bytes;
  return EnqueuePlanned(state, std::move(job));
}

absl::StatusOr<Job> EnqueuePlanned(JobsState& state, Job job) {
  GWQ_ASSIGN_OR_RETURN(const JobKind* const kind, FindJobKind(job.kind));
  GWQ_ASSIGN_OR_RETURN(job.inputs, kind->inputs(job.spec_json));
  // Enqueue decides; but what it refuses should not have stored its texts.
  GWQ_RETURN_IF_ERROR(state.jobs.CanEnqueue(job.principal));
  GWQ_ASSIGN_OR_RETURN(SplitSpec split, SplitTexts(state.blobs, job.spec_json));
  job.spec_json = std::move(split.spec_json);
  job.texts = split.texts;
  return state.jobs.Enqueue(std::move(job));
}

Job WithTexts(const JobsState& state, Job job) {
  auto whole = JoinTexts(state.blobs, job.spec_json, job.texts);
  if (whole.ok()) job.spec_json = *std::move(whole);
  return job;
}

}  // namespace gwq
