#include "server/jobs/jobs_program.h"

#include <cstdio>

#include "core/base/status.h"
#include "server/common/service_host.h"
#include "server/common/signals.h"
#include "server/jobs/jobs_server.h"

namespace gwq {

int RunJobsProgram(int argc, char** argv, FileSystem& files) {
  const TerminationSignals signals;
  SilenceGrpc();
  JobsSettings settings;
  Options options("gwq-jobs", "Takes uploads, keeps models and artifacts, and runs jobs on worker processes.");
  AddJobsSettings(options, settings);
  if (!options.Parse(argc, argv)) return options.exit_code();
  const auto server = JobsServer::Start(settings, SystemClock(), files);
  if (!server.ok()) {
    const std::string_view text = MessageOf(server.status());
    std::fprintf(stderr, "gwq-jobs: %.*s\n", static_cast<int>(text.size()), text.data());
    return 1;
  }
  (void)signals.Wait();
  (*server)->Drain();
  return 0;
}

}  // namespace gwq
