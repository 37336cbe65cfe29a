// Names resolved by a gwq-jobs service.
#pragma once

#include <memory>
#include <string>

#include "server/infer/model_source.h"

namespace gwq {

struct JobsSourceOptions {
  std::string address;    // HOST:PORT of gwq-jobs
  std::string token;      // bearer token for callers without one; empty for none
  std::string blob_root;  // instead of what gwq-jobs answers, where this machine sees the blobs elsewhere; may be empty
  int64_t hold_millis = 600'000;
};

// A caller's own token goes to gwq-jobs, which so answers what that caller may know and nothing else. `holder` is
// unique to this process. A call takes 10 s at most, and a service that is still starting is waited for so long; with
// WhenAway::kFail 2 s, without waiting.
[[nodiscard]] std::unique_ptr<ModelSource> MakeJobsSource(const JobsSourceOptions& options, const std::string& holder);

}  // namespace gwq
