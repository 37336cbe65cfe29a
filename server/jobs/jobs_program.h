// gwq-jobs as a function of its command line.
#pragma once

#include "core/io/file_system.h"

namespace gwq {

// Serves until SIGTERM or SIGINT, drains, and returns the exit code. Blobs are stored through `files`.
[[nodiscard]] int RunJobsProgram(int argc, char** argv, FileSystem& files);

}  // namespace gwq
