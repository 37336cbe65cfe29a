#include "client/cli/watch.h"

#include <fmt/format.h>

#include "client/cli/output.h"
#include "client/library/jobs.h"

namespace gwq::cli {

std::string StateText(v1::JobState state) {
  switch (state) {
    case v1::JOB_STATE_QUEUED:
      return "queued";
    case v1::JOB_STATE_RUNNING:
      return "running";
    case v1::JOB_STATE_SUCCEEDED:
      return "succeeded";
    case v1::JOB_STATE_FAILED:
      return "failed";
    case v1::JOB_STATE_CANCELLED:
      return "cancelled";
    default:
      return "unknown";
  }
}

absl::StatusOr<v1::Job> FollowJob(Session& session, const std::string& name) {
  Terminal& terminal = session.terminal();
  v1::JobState last = v1::JOB_STATE_UNSPECIFIED;
  auto job = client::WatchJob(session.jobs(), name, session.canceller(), [&](const v1::Job& now) {
    if (now.state() != last && now.state() == v1::JOB_STATE_QUEUED) terminal.Note(fmt::format("{}: queued", name));
    last = now.state();
    if (now.state() == v1::JOB_STATE_RUNNING && now.progress().total() > 0) {
      terminal.Update(now.progress().phase(), static_cast<uint64_t>(now.progress().done()),
                      static_cast<uint64_t>(now.progress().total()), "steps");
    }
  });
  terminal.Done();
  if (!job.ok() && session.canceller().cancelled()) {
    PrintError("\nThe job goes on. Come back with: gwq jobs watch {}\nor end it with: gwq jobs cancel {}\n", name,
               name);
  }
  return job;
}

ExitCode ReportEnd(Session& session, const v1::Job& job) {
  switch (job.state()) {
    case v1::JOB_STATE_SUCCEEDED:
      return kExitOk;
    case v1::JOB_STATE_CANCELLED:
      session.terminal().Note(fmt::format("{}: cancelled", job.name()));
      return kExitJobCancelled;
    default:
      PrintError("gwq: {} failed: {}\n", job.name(), job.error().message());
      return kExitJobFailed;
  }
}

}  // namespace gwq::cli
