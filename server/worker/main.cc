// gwq-worker: runs one job at a time for gwq-jobs. It may be killed at any moment: what it did becomes visible only by
// its commit.
#include "server/worker/worker_program.h"

int main(int argc, char** argv) { return gwq::RunWorkerProgram(argc, argv, gwq::LocalFileSystem(), gwq::JobRunners()); }
