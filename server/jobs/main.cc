// gwq-jobs: uploads, catalogue, jobs and their workers.
#include <cstdio>

#include "core/base/status.h"
#include "server/common/signals.h"
#include "server/jobs/jobs_server.h"

int main(int argc, char** argv) {
  const gwq::TerminationSignals signals;
  gwq::JobsSettings settings;
  gwq::Options options("gwq-jobs", "Uploads, catalogue, jobs and their workers.");
  gwq::AddJobsSettings(options, settings);
  if (!options.Parse(argc, argv)) return options.exit_code();
  const auto server = gwq::JobsServer::Start(settings, gwq::SystemClock());
  if (!server.ok()) {
    const std::string_view text = gwq::MessageOf(server.status());
    std::fprintf(stderr, "gwq-jobs: %.*s\n", static_cast<int>(text.size()), text.data());
    return 1;
  }
  (void)signals.Wait();
  (*server)->Drain();
  return 0;
}
