#include "client/cli/commands/watch.h"

#include <fmt/format.h>

#include "client/cli/errors.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/library/jobs.h"

namespace gwq::cli {
namespace {

// Of a job that did not succeed, whether or not the service tells an error.
absl::Status EndOf(const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_CANCELLED) return absl::CancelledError("the job was cancelled");
  absl::Status status = client::FromProto(job.error());
  if (status.ok()) status = absl::UnknownError("the job failed without an error text");
  return status;
}

nlohmann::json EndJson(const v1::Job& job) {
  nlohmann::json out = ErrorJson(EndOf(job));
  out["job"] = job.name();
  return out;
}

}  // namespace

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
    return absl::CancelledError(
        fmt::format("the watch was ended; the job goes on: come back with 'gwq jobs watch {}', or end it with "
                    "'gwq jobs cancel {}'",
                    name, name));
  }
  return job;
}

ExitCode ReportEnd(Session& session, const v1::Job& job) {
  if (job.state() == v1::JOB_STATE_SUCCEEDED) return kExitOk;
  const bool cancelled = job.state() == v1::JOB_STATE_CANCELLED;
  if (session.json()) {
    PrintJson(job);
    PrintErrorJson(EndJson(job));
  } else if (cancelled) {
    session.terminal().Note(fmt::format("{}: cancelled", job.name()));
  } else {
    PrintError("gwq: {} failed: {}\n", job.name(), MessageOf(EndOf(job)));
    if (job.has_report()) {
      session.terminal().Note(fmt::format("what it made is in its report: 'gwq jobs report {}'", job.name()));
    }
  }
  return cancelled ? kExitJobCancelled : kExitJobFailed;
}

}  // namespace gwq::cli
