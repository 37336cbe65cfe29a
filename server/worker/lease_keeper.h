// Keeps a lease alive while its job computes: heartbeats with progress and log lines from a thread of its own.
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "core/base/mutex.h"
#include "core/base/progress.h"
#include "server/worker/lease_link.h"

namespace gwq {

// The Progress of one job. Check answers CANCELLED once the service wants the job cancelled, and ABORTED once the lease
// is lost or could not be renewed for its whole life: then nothing may be written any more. Thread-safe.
class LeaseKeeper final : public Progress {
 public:
  // Both must outlive the keeper.
  LeaseKeeper(LeaseLink& link, const AcquiredJob& job);
  // Ends the heartbeats; a last one carries what was not told yet, unless the lease is lost.
  ~LeaseKeeper() override;

  void Step(std::string_view phase, int64_t done, int64_t total) override;
  void Log(std::string_view line) override;
  [[nodiscard]] absl::Status Check() override;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;
  void Run();
  // Sends what is new. False once there is no lease to keep.
  bool Beat();

  LeaseLink& link_;
  const AcquiredJob& job_;
  const std::chrono::milliseconds ttl_;
  Mutex mutex_;
  CondVar changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status state_ ABSL_GUARDED_BY(mutex_);
  WorkerProgress progress_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  TimePoint renewed_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace gwq
