// The worker's side of WorkerService: one connection, one lease at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/jobs/job_runners.h"
#include "gwq/v1/worker.grpc.pb.h"

namespace gwq {

struct WorkerIdentity {
  std::string worker;  // unique per process
  std::string device;  // "cpu:0"
  uint64_t memory_bytes = 0;
};

struct AcquiredJob {
  std::string id;  // empty: nothing to do
  std::string kind;
  std::string spec_json;
  uint64_t fencing_token = 0;
  int64_t ttl_millis = 0;
  int attempt = 0;
};

struct WorkerProgress {
  std::string phase;
  int64_t done = 0;
  int64_t total = 0;
};

// Thread-safe; every call blocks at most its deadline. ABORTED always means that the lease is lost.
class LeaseLink {
 public:
  explicit LeaseLink(const std::string& jobs_address);

  [[nodiscard]] absl::StatusOr<AcquiredJob> Acquire(const WorkerIdentity& identity, int64_t wait_millis);
  // True where the job should be cancelled.
  [[nodiscard]] absl::StatusOr<bool> Heartbeat(const AcquiredJob& job, const WorkerProgress& progress,
                                               const std::vector<std::string>& log_lines, int64_t timeout_millis);
  [[nodiscard]] absl::Status Commit(const AcquiredJob& job, const JobOutput& outcome, int64_t timeout_millis);
  [[nodiscard]] absl::Status Fail(const AcquiredJob& job, const absl::Status& error, bool retryable,
                                  int64_t timeout_millis);

 private:
  std::unique_ptr<v1::WorkerService::Stub> stub_;
};

}  // namespace gwq
