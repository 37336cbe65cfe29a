// Resolves names with a gwq-jobs service.
#pragma once

#include <memory>
#include <string>

#include "server/infer/models/model_source.h"

namespace gwq {

struct JobsSourceOptions {
  std::string address;    // HOST:PORT of gwq-jobs
  std::string token;      // bearer token for callers without one; empty for none
  std::string blob_root;  // replaces the folder that gwq-jobs names, if this machine mounts it elsewhere; may be empty
  int64_t hold_millis = 600'000;
};

// Passes the caller's own token to gwq-jobs, so the answer is what that caller may know. `holder` is unique to this
// process. A call takes at most 10 s, and waits that long for a service that is still starting. With
// OnUnavailable::kFail it takes at most 2 s and does not wait.
[[nodiscard]] std::unique_ptr<ModelSource> MakeJobsSource(const JobsSourceOptions& options, const std::string& holder);

}  // namespace gwq
