// A lease that this process holds: sends heartbeats on a separate thread while the job runs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/base/mutex.h"
#include "core/base/progress.h"
#include "server/worker/jobs_client.h"

namespace gwq {

// The Progress of the running job. Thread-safe.
class LeaseSession final : public Progress {
 public:
  // Starts the heartbeats, a third of the lease apart and at most a second. `client` outlives the session. If the lease
  // is lost (ABORTED, or no answer for a whole lease), `lost` is called. It must end the process, because another
  // worker may have the job.
  LeaseSession(JobsClient& client, v1::AcquireResponse lease, std::function<void(const std::string& why)> lost);
  // Stops the heartbeats.
  ~LeaseSession() override;

  void Step(std::string_view phase, int64_t done, int64_t total) override;
  void Log(std::string_view line) override;
  absl::Status Check() override;

  // Sends the progress and log lines that have not been sent.
  void Flush();

  // The job is over and its end is being reported. The report ends the lease, and a heartbeat may arrive after it. So
  // from now on ABORTED does not call `lost`: the answer to the report says whether the lease was lost. Silence still
  // does.
  void Reporting();

 private:
  void Run();
  void Beat();
  v1::HeartbeatRequest Next();

  JobsClient& client_;
  const v1::AcquireResponse lease_;
  const std::function<void(const std::string& why)> lost_;
  Mutex mutex_;
  CondVar changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool cancel_ ABSL_GUARDED_BY(mutex_) = false;
  bool reporting_ ABSL_GUARDED_BY(mutex_) = false;
  std::string phase_ ABSL_GUARDED_BY(mutex_);
  int64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t total_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
  Mutex beat_mutex_;  // one heartbeat at a time, so that lines keep their order
  std::chrono::steady_clock::time_point last_success_ ABSL_GUARDED_BY(beat_mutex_);
  std::thread thread_;
};

}  // namespace gwq
