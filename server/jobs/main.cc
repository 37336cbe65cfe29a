// gwq-jobs: uploads, catalogue, jobs and their workers.
#include "server/jobs/jobs_program.h"

int main(int argc, char** argv) { return gwq::RunJobsProgram(argc, argv, gwq::LocalFileSystem()); }
