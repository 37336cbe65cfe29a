// gwq-worker that dies at a chosen durable step; see crash_plan.h.
#include "server/worker/worker_program.h"
#include "tests/tools/crash_plan.h"

int main(int argc, char** argv) {
  return gwq::RunWorkerProgram(argc, argv, gwq::testing::PlannedCrashFileSystem(), gwq::JobRunners());
}
