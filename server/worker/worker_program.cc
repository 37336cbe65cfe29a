#include "server/worker/worker_program.h"

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <thread>

#include "core/base/address.h"
#include "core/base/bearer_token.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/storage/local_blob_store.h"
#include "server/common/options.h"
#include "server/common/signals.h"
#include "server/worker/lifeline.h"
#include "server/worker/worker_loop.h"

namespace gwq {
namespace {

struct WorkerSettings {
  std::string jobs;
  std::string token;
  std::string blobs;
  std::string device = "cpu:0";
  std::string worker;
  int64_t memory = 0;
  int64_t lifeline_fd = -1;
  std::string log_level = "info";
};

void AddWorkerSettings(Options& options, WorkerSettings& settings) {
  options.Add("jobs", settings.jobs, "HOST:PORT of gwq-jobs");
  options.Add("token", settings.token, "bearer token; set it in the environment, where other users cannot see it");
  options.Add("blobs", settings.blobs, "folder of the blob store");
  options.Add("device", settings.device, "name of the slot that this process works on");
  options.Add("worker", settings.worker,
              "name of this process, which must be unique (default: the device and the process id)");
  options.Add("memory", settings.memory, 1, INT64_MAX, "memory that a job may take, in bytes");
  options.Add("lifeline-fd", settings.lifeline_fd, -1, 1 << 20,
              "file descriptor; this process ends when it reads end of file from it");
  options.Add("log-level", settings.log_level, "lowest level to log: debug, info, warning or error");
}

// Nothing is flushed or destroyed: another worker may have the job by now.
[[noreturn]] void EndNow(const Log& log, std::string_view why, int status) {
  log.Write(LogLevel::kWarning, "worker_ends", {{"why", why}});
  _exit(status);
}

absl::Status Serve(const WorkerSettings& settings, FileSystem& files, const std::vector<JobRunner>& runners,
                   const Log& log) {
  if (settings.jobs.empty()) return InvalidField("jobs", "is missing; give HOST:PORT of gwq-jobs");
  GWQ_RETURN_IF_ERROR(Annotate(CheckAddress(settings.jobs), "jobs"));
  if (settings.blobs.empty()) return InvalidField("blobs", "is missing; give the folder of the blob store");
  GWQ_RETURN_IF_ERROR(Annotate(CheckBearerToken(settings.token), "token"));
  // A worker that made a store of its own here would only fail job after job.
  if (!HasLocalBlobStore(files, settings.blobs)) {
    return InvalidField("blobs", fmt::format("there is no blob store in '{}'; give the folder 'blobs' in the state "
                                             "folder of gwq-jobs, on this machine or mounted here",
                                             settings.blobs));
  }
  GWQ_ASSIGN_OR_RETURN(const auto blobs, OpenLocalBlobStore(files, settings.blobs, SystemClock()));
  JobsClient client(settings.jobs, settings.token);
  WorkerIdentity identity{settings.worker, settings.device, static_cast<uint64_t>(settings.memory)};
  if (identity.worker.empty()) identity.worker = settings.device + "-" + std::to_string(getpid());
  WorkerLoop loop(identity, client, *blobs, runners, log, [&log](const std::string& why) { EndNow(log, why, 3); });
  for (;;) {
    const auto ran = loop.RunOne();
    if (ran.ok()) continue;
    if (absl::IsUnauthenticated(ran.status()) || absl::IsPermissionDenied(ran.status())) return ran.status();
    log.Write(LogLevel::kWarning, "acquire", {{"error", MessageOf(ran.status())}});
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
  }
}

}  // namespace

int RunWorkerProgram(int argc, char** argv, FileSystem& files, const std::vector<JobRunner>& runners) {
  // A file over the limit of `ulimit -f` is an error of the job, not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  const TerminationSignals signals;
  WorkerSettings settings;
  Options options("gwq-worker", "Runs one job at a time for gwq-jobs.");
  AddWorkerSettings(options, settings);
  if (!options.Parse(argc, argv)) return options.exit_code();
  const auto level = ParseLogLevel(settings.log_level);
  const Log log("gwq-worker", level.value_or(LogLevel::kInfo));
  if (settings.lifeline_fd >= 0) {
    WatchLifeline(static_cast<int>(settings.lifeline_fd), [&log] { EndNow(log, "gwq-jobs ended", 0); });
  }
  std::thread([&signals, &log] {
    (void)signals.Wait();
    EndNow(log, "signal", 0);
  }).detach();
  const absl::Status status = level.ok() ? Serve(settings, files, runners, log) : level.status();
  const std::string_view text = MessageOf(status);
  std::fprintf(stderr, "gwq-worker: %.*s\n", static_cast<int>(text.size()), text.data());
  return 1;
}

}  // namespace gwq
