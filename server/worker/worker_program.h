// gwq-worker as a function of its command line.
#pragma once

#include <vector>

#include "core/io/file_system.h"
#include "core/jobs/runners/job_runners.h"

namespace gwq {

// Runs jobs, each with its kind's row of `runners`, until the service refuses this worker, and returns the exit code;
// ends the process where the lease or the lifeline is lost. Blobs are stored through `files`.
[[nodiscard]] int RunWorkerProgram(int argc, char** argv, FileSystem& files, const std::vector<JobRunner>& runners);

}  // namespace gwq
