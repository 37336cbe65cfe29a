// gwq-worker as a function of its command line.
#pragma once

#include "core/io/file_system.h"

namespace gwq {

// Runs jobs until the service refuses this worker, and returns the exit code; ends the process where the lease or the
// lifeline is lost. Blobs are stored through `files`.
[[nodiscard]] int RunWorkerProgram(int argc, char** argv, FileSystem& files);

}  // namespace gwq
