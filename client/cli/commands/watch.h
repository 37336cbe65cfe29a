// A job on the terminal, from now to its end.
#pragma once

#include <string>

#include "client/cli/session.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq::cli {

// Shows progress until the job ends. An interrupted watch leaves the job running and is CANCELLED, with a message that
// says how to come back.
[[nodiscard]] absl::StatusOr<v1::Job> FollowJob(Session& session, const std::string& name);

// The exit code of an ended job. Of one that did not succeed, --json prints the job on standard output and an error
// with its name on standard error, otherwise a line goes to standard error.
[[nodiscard]] ExitCode ReportEnd(Session& session, const v1::Job& job);

[[nodiscard]] std::string StateText(v1::JobState state);

}  // namespace gwq::cli
