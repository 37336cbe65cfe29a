#include "server/worker/worker.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "core/base/status.h"
#include "server/worker/lease_keeper.h"

namespace gwq {
namespace {

using Clock = std::chrono::steady_clock;

void Pause(int64_t millis) { std::this_thread::sleep_for(std::chrono::milliseconds(millis)); }

bool MayComeBack(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded;
}

// Offers the end of a job until the service takes or refuses it.
template <class Offer>
absl::Status Deliver(const WorkerSettings& settings, Offer&& offer) {
  const auto until = Clock::now() + std::chrono::milliseconds(settings.commit_millis);
  for (;;) {
    absl::Status status = offer();
    if (status.ok() || !MayComeBack(status.code()) || Clock::now() >= until) return status;
    Pause(settings.pause_millis);
  }
}

absl::StatusOr<JobOutput> Run(const AcquiredJob& job, BlobStore& store, Progress& progress) {
  for (const JobRunner& runner : JobRunners()) {
    if (runner.kind == job.kind) return runner.run(store, job.spec_json, progress);
  }
  return absl::UnimplementedError(
      fmt::format("this worker knows no job kind '{}': it is older than the service", job.kind));
}

absl::Status RunOne(LeaseLink& link, BlobStore& store, const WorkerSettings& settings, const AcquiredJob& job,
                    const Log& log) {
  absl::StatusOr<JobOutput> outcome = absl::InternalError("not run");
  absl::Status lease;
  {
    LeaseKeeper keeper(link, job);
    outcome = Run(job, store, keeper);
    lease = keeper.Check();
    if (lease.ok() && outcome.ok()) {
      // The lease is kept while the commit is on its way.
      return Deliver(settings, [&] { return link.Commit(job, *outcome, job.ttl_millis); });
    }
  }
  if (lease.code() == absl::StatusCode::kAborted) return lease;
  const absl::Status error = lease.ok() ? outcome.status() : lease;
  log.Write(LogLevel::kWarning, "job_failed", {{"job", job.id}, {"kind", job.kind}, {"error", MessageOf(error)}});
  return Deliver(settings, [&] { return link.Fail(job, error, IsRetryable(error), job.ttl_millis); });
}

}  // namespace

void RunWorker(LeaseLink& link, BlobStore& store, const WorkerSettings& settings, const Log& log,
               const std::function<bool()>& stop) {
  while (!stop()) {
    const absl::StatusOr<AcquiredJob> job = link.Acquire(settings.identity, settings.wait_millis);
    if (!job.ok()) {
      log.Write(LogLevel::kDebug, "acquire_failed", {{"error", MessageOf(job.status())}});
      Pause(settings.pause_millis);
      continue;
    }
    if (job->id.empty()) continue;
    log.Write(LogLevel::kInfo, "job_started", {{"job", job->id}, {"kind", job->kind}, {"attempt", job->attempt}});
    const absl::Status end = RunOne(link, store, settings, *job, log);
    log.Write(end.ok() ? LogLevel::kInfo : LogLevel::kWarning, "job_ended",
              {{"job", job->id}, {"result", end.ok() ? "told" : MessageOf(end)}});
  }
}

}  // namespace gwq
