// A lease held by this process: heartbeats on a thread of their own while the job runs.
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
  // Starts the heartbeats, a third of the lease apart. `client` outlives the session. When the lease is lost, which
  // ABORTED or a whole lease of silence tell, `lost` is called: it must end the process, for another worker may have
  // the job.
  LeaseSession(JobsClient& client, v1::AcquireResponse lease, std::function<void(const std::string& why)> lost);
  // Stops the heartbeats.
  ~LeaseSession() override;

  void Step(std::string_view phase, int64_t done, int64_t total) override;
  void Log(std::string_view line) override;
  absl::Status Check() override;

  // Sends what has not been sent.
  void Flush();

  // The job is over and its end is being told. The lease ends with that, and a heartbeat may come after it: from now on
  // the answer to the report alone tells whether the lease was lost, and ABORTED calls `lost` no more. Silence does.
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
