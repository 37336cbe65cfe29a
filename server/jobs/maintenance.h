// What gwq-jobs does by itself: lets leases and uploads run out, collects garbage, watches over its workers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <thread>

#include "core/base/mutex.h"
#include "core/jobs/worker_supervisor.h"
#include "server/jobs/jobs_state.h"

namespace gwq {

// Everything is called from one thread: the one that Start makes, or a test's.
class Maintenance {
 public:
  struct Periods {
    int64_t expiry_millis = 1'000;
    int64_t collection_millis = 3'600'000;
    // Blobs younger than this stay: a worker may just have written them for a job that has not ended.
    int64_t grace_millis = 3'600'000;
    // After which an idle worker that does not ask for a job counts as hanging.
    int64_t silence_millis = 120'000;
    // How long ended jobs that no entry names stay; 0: for ever.
    int64_t retention_millis = 0;
  };
  // `supervisor` may be null. All outlive the object.
  Maintenance(JobsState& state, WorkerSupervisor* supervisor, Metrics& metrics, const Log& log, Periods periods);
  ~Maintenance();

  // Runs Tick a few times a second, until Stop.
  void Start();
  void Stop();

  // Does what is due by the state's clock.
  void Tick();
  void ExpireLeasesAndUploads();
  // What is left of the checkpoints of jobs that have ended.
  void RemoveEndedScratch();
  void KillSilentWorkers();
  // Removes blobs that nothing names; bytes freed.
  [[nodiscard]] absl::StatusOr<uint64_t> Collect();

 private:
  void Run();
  void ExpireLeases();
  void ReportCollection();
  // A few of the jobs that ended longer ago than they are kept.
  void PurgeSomeJobs();
  void Report();
  absl::Status AddManifests(const std::vector<Digest>& manifests, std::vector<Digest>& keep);
  absl::Status AddCheckpoints(const std::vector<Digest>& checkpoints, std::vector<Digest>& keep);
  absl::Status AddUploads(std::vector<Digest>& keep);

  JobsState& state_;
  WorkerSupervisor* const supervisor_;
  Metrics& metrics_;
  const Log& log_;
  const Periods periods_;
  int64_t next_expiry_;
  int64_t next_collection_;
  struct Purge {
    int64_t before = 0;  // wall milliseconds
    EndedPosition position;
    int64_t removed = 0;
  };
  std::optional<Purge> purge_;  // while one goes on

  Mutex mutex_;
  CondVar changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace gwq
