// For the programs that die where a test says: gwq-jobs and gwq-worker as they are, on a file system that loses what
// was not synced.
#pragma once

#include "core/io/fault_file_system.h"

namespace gwq::testing {

// The local file system, with the crash that the file named by the environment variable CRASH_PLAN asks for: "STEP
// KIND", STEP counted from the start of this process, KIND one of drop, zero, keep. The crash undoes what was not
// synced, in files and in databases, removes the plan, so that the next process lives, and kills this one with SIGKILL.
// Without a plan nothing happens. Never destroyed.
[[nodiscard]] FaultFileSystem& PlannedCrashFileSystem();

}  // namespace gwq::testing
