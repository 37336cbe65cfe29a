// Watching a job to its end.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "client/library/canceller.h"
#include "client/library/connection.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq::client {

// Calls `seen` with the job now and after every change until it ends; returns its last state. A broken stream is opened
// again up to `max_reconnects` times in a row, half a second apart. CANCELLED once `canceller` says so; the job itself
// goes on.
[[nodiscard]] absl::StatusOr<v1::Job> WatchJob(const Connection& jobs, const std::string& name, Canceller& canceller,
                                               const std::function<void(const v1::Job&)>& seen,
                                               int max_reconnects = 20);

// The log lines of a job from `first_index` on; with `follow` until it ends.
[[nodiscard]] absl::Status ReadLogs(const Connection& jobs, const std::string& name, uint64_t first_index, bool follow,
                                    Canceller& canceller, const std::function<void(const v1::JobLogLine&)>& line);

[[nodiscard]] bool IsTerminal(v1::JobState state);

}  // namespace gwq::client
