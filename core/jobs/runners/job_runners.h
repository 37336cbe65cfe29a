// The table of what a worker does for each kind of job. Links LibTorch: never in gwq-jobs.
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "core/jobs/job_run.h"

namespace gwq {

struct JobRunner {
  std::string_view kind;
  // INVALID_ARGUMENT for a spec that cannot be read.
  std::function<absl::StatusOr<JobOutput>(const JobContext& context)> run;
};

[[nodiscard]] const std::vector<JobRunner>& JobRunners();

}  // namespace gwq
