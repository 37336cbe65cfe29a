// The loop of a worker: acquire a job, run it, report, repeat.
#pragma once

#include <functional>
#include <string>

#include "core/jobs/runners/job_runners.h"
#include "core/storage/blob_store.h"
#include "server/common/log.h"
#include "server/worker/jobs_client.h"

namespace gwq {

struct WorkerIdentity {
  std::string worker;
  std::string device;
  uint64_t memory_bytes = 0;
};

class WorkerLoop {
 public:
  // All outlive the loop. `lost` ends the process: see LeaseSession.
  WorkerLoop(WorkerIdentity identity, JobsClient& client, BlobStore& blobs, const std::vector<JobRunner>& runners,
             const gwq::Log& log, std::function<void(const std::string& why)> lost);

  // Runs at most one job. False if none came within one long poll.
  [[nodiscard]] absl::StatusOr<bool> RunOne();

 private:
  void RunJob(const v1::AcquireResponse& lease);
  [[nodiscard]] absl::StatusOr<JobOutput> Run(const v1::AcquireResponse& lease, Progress& progress);
  [[nodiscard]] absl::Status Report(const v1::AcquireResponse& lease, const absl::StatusOr<JobOutput>& output);

  const WorkerIdentity identity_;
  JobsClient& client_;
  BlobStore& blobs_;
  const std::vector<JobRunner>& runners_;
  const gwq::Log& log_;
  const std::function<void(const std::string& why)> lost_;
};

}  // namespace gwq
