// gwq-worker: runs jobs for gwq-jobs, one at a time, on one device.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "core/io/paths.h"
#include "core/storage/local_blob_store.h"
#include "server/common/options.h"
#include "server/worker/lifeline.h"
#include "server/worker/worker.h"

namespace gwq {
namespace {

struct Arguments {
  std::string jobs, blobs, device = "cpu:0", log_level = "info";
  int64_t memory_bytes = 0;
  int64_t lifeline_fd = -1;
};

int Main(int argc, char** argv) {
  Arguments arguments;
  Options options("gwq-worker", "Runs jobs for gwq-jobs on one device.");
  options.Add("jobs", arguments.jobs, "address of gwq-jobs, HOST:PORT");
  options.Add("blobs", arguments.blobs, "folder of the blob store");
  options.Add("device", arguments.device, "name of the device, as gwq-jobs lists it");
  options.Add("memory", arguments.memory_bytes, 0, INT64_MAX, "bytes that a job may use");
  options.Add("lifeline-fd", arguments.lifeline_fd, -1, 1 << 20, "descriptor whose end of file ends this process");
  options.Add("log-level", arguments.log_level, "debug, info, warning or error");
  if (!options.Parse(argc, argv)) return options.exit_code();
  const auto level = ParseLogLevel(arguments.log_level);
  if (!level.ok() || arguments.jobs.empty() || arguments.blobs.empty()) {
    fmt::print(stderr, "gwq-worker: give --jobs, --blobs and a known --log-level\n");
    return 2;
  }
  const Log log("gwq-worker", *level);
  ExitAtEndOf(static_cast<int>(arguments.lifeline_fd));
  const auto store = OpenLocalBlobStore(LocalFileSystem(), arguments.blobs, SystemClock());
  if (!store.ok()) {
    log.Write(LogLevel::kError, "blob_store", {{"error", store.status().ToString()}});
    return 1;
  }
  LeaseLink link(arguments.jobs);
  WorkerSettings settings;
  settings.identity = {fmt::format("{}-{}", getpid(), UniqueSuffix()), arguments.device,
                       static_cast<uint64_t>(arguments.memory_bytes)};
  RunWorker(link, **store, settings, log, [] { return false; });
  return 0;
}

}  // namespace
}  // namespace gwq

int main(int argc, char** argv) { return gwq::Main(argc, argv); }
