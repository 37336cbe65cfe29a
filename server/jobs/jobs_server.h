// gwq-jobs put together: stores, services, workers. main() and the tests start the same thing.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/io/file_system.h"
#include "server/common/options.h"
#include "server/jobs/maintenance.h"

namespace gwq {

struct JobsSettings {
  ServiceSettings service;
  std::string state;              // folder of the database and the blobs
  int64_t workers = 1;            // CPU slots
  int64_t worker_memory_mib = 0;  // of all slots together; 0: nine tenths of the machine's
  std::string fake_devices;
  bool no_workers = false;
  std::string worker_program;  // empty: gwq-worker beside this program
  int64_t lease_seconds = 30;
  int64_t upload_hours = 24;
  int64_t max_upload_gib = 1024;
  int64_t max_open_uploads = 16;
  int64_t keep_free_mib = 256;
  int64_t max_queued_jobs = 100;
  int64_t collect_minutes = 60;
  int64_t keep_jobs_days = 90;
  int64_t kept_passes_mib = 2048;
  int64_t kept_passes_principal_mib = 1024;
};
void AddJobsSettings(Options& options, JobsSettings& settings);

class JobsServer {
 public:
  // `clock` and `files`, which the blobs are stored through, outlive the server.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<JobsServer>> Start(const JobsSettings& settings,
                                                                         const Clock& clock,
                                                                         FileSystem& files = LocalFileSystem());
  // Drains without time for running calls.
  ~JobsServer();

  [[nodiscard]] const std::string& address() const;
  [[nodiscard]] Maintenance& maintenance();
  [[nodiscard]] JobsState& state();
  [[nodiscard]] const Metrics& metrics() const;
  // Long polls and watches end at once, other calls get the drain time, then the workers end.
  void Drain();

 private:
  struct Parts;
  explicit JobsServer(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace gwq
