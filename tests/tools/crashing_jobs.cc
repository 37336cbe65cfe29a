// gwq-jobs that dies at a chosen durable step; see crash_plan.h.
#include "server/jobs/jobs_program.h"
#include "tests/support/fault_vfs.h"
#include "tests/tools/crash_plan.h"

int main(int argc, char** argv) {
  gwq::FaultFileSystem& files = gwq::testing::PlannedCrashFileSystem();
  gwq::testing::InstallFaultVfs(files);
  return gwq::RunJobsProgram(argc, argv, files);
}
