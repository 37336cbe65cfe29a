// The life cycle of jobs as verbs. Calls block on disk, so run them on an executor and never in a gRPC reaction.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/jobs/records.h"

namespace gwq {

// What a device offers to the next job.
struct AcquireOffer {
  std::string worker;  // unique per worker process
  std::string device;  // "cpu:0", "fake:2"
  uint64_t memory_bytes = 0;
  std::vector<std::string> kinds;  // job kinds it runs; empty for all
  uint64_t min_bytes = 0;          // jobs that need less are left to others
  // What is free of the disk. A job that needs some is left waiting where the running ones may need the rest, unless it
  // has a checkpoint: what it needs is then on the disk.
  uint64_t disk_bytes = UINT64_MAX;
};

// A position among the ended jobs, in the order of their ends. The default is before all of them.
struct EndedPosition {
  int64_t finished_wall_millis = 0;
  int64_t sequence = 0;
};

// Thread-safe. State is durable when a call returns OK. Queue limits are per principal; fairness takes the principal
// with the fewest running jobs first, then the oldest job that fits the offer.
class JobStore {
 public:
  virtual ~JobStore() = default;

  // Idempotent by (principal, request_id): the same request gives the first job back, another one is ALREADY_EXISTS.
  // Requests are the same by request_sha256, or by kind and spec where one of them has none.
  // RESOURCE_EXHAUSTED with a retry delay past the queue limit.
  [[nodiscard]] virtual absl::StatusOr<Job> Enqueue(Job job) = 0;
  // Whether Enqueue would take a new job of the principal now: the same RESOURCE_EXHAUSTED if not.
  [[nodiscard]] virtual absl::Status CanEnqueue(const std::string& principal) = 0;
  // The job that this request made before, for an answer that needs no look at what the request names; none if the
  // key is new. ALREADY_EXISTS if it was another request. An empty `request_sha256` asks for the key alone. A job
  // that was made without one is not found by a request that has one: Enqueue then compares kind and spec.
  [[nodiscard]] virtual absl::StatusOr<std::optional<Job>> FindByRequest(const std::string& principal,
                                                                         const std::string& request_id,
                                                                         const std::string& request_sha256) = 0;
  [[nodiscard]] virtual absl::StatusOr<Job> Get(const std::string& principal, const std::string& id) = 0;
  // In the order of Enqueue, newest first; `page_token` is opaque. A page ends early if its specs exceed 1 MiB.
  struct JobPage {
    std::vector<Job> jobs;
    std::string next_page_token;
  };
  [[nodiscard]] virtual absl::StatusOr<JobPage> List(const std::string& principal, int page_size,
                                                     const std::string& page_token) = 0;

  // NOT_FOUND if no job fits.
  [[nodiscard]] virtual absl::StatusOr<Lease> Acquire(const AcquireOffer& offer) = 0;
  // Extends the lease and stores progress and log lines. ABORTED if the token is not the current one; the worker
  // then stops at once. Returns whether a cancel was asked for.
  [[nodiscard]] virtual absl::StatusOr<bool> Renew(const std::string& id, uint64_t fencing_token,
                                                   const JobProgress& progress,
                                                   const std::vector<std::string>& log_lines) = 0;
  // The running job under this lease, of whatever principal. ABORTED if the lease is over.
  [[nodiscard]] virtual absl::StatusOr<Job> GetLeased(const std::string& id, uint64_t fencing_token) = 0;
  // Makes `checkpoint`, a stored blob (core/storage/checkpoint.h), the job's own in place of `replaced` (none: the job
  // has had none): Acquire gives it to the next attempt, and it goes when the job ends. OK again for one that is the
  // job's own already. An attempt that saves one does not count towards max_attempts. ABORTED if the lease is over;
  // FAILED_PRECONDITION if the job has another one than `replaced`, so that a call that was late cannot bring back a
  // checkpoint whose scratch blobs are removed.
  [[nodiscard]] virtual absl::Status SaveCheckpoint(const std::string& id, uint64_t fencing_token,
                                                    const Digest& checkpoint,
                                                    const std::optional<Digest>& replaced) = 0;
  // Ends the job and publishes in one transaction. The same token again after a success is OK (the answer was lost).
  [[nodiscard]] virtual absl::Status Commit(const std::string& id, uint64_t fencing_token,
                                            const Publication& publication) = 0;
  // Publishes an entry that the running job makes on its way. The same again replaces it. ABORTED if the lease is over.
  [[nodiscard]] virtual absl::Status PublishPart(const std::string& id, uint64_t fencing_token,
                                                 const CatalogueEntry& entry) = 0;
  // A failed attempt: queued again while `retryable` and attempts are left, else failed. A report that is not empty is
  // kept with a job that failed, and goes with it.
  [[nodiscard]] virtual absl::Status Fail(const std::string& id, uint64_t fencing_token, const JobError& error,
                                          bool retryable, const JobReport& report = {}) = 0;
  // NOT_FOUND if the principal has no such job, or it failed without a report or did not fail.
  [[nodiscard]] virtual absl::StatusOr<JobReport> Report(const std::string& principal, const std::string& id) = 0;
  // The service ended the worker for its own reasons: the job waits again (or is cancelled, if that was asked for), and
  // the attempt does not count. ABORTED if the lease is over.
  [[nodiscard]] virtual absl::Status ReleaseLease(const std::string& id, uint64_t fencing_token) = 0;
  // A queued job ends at once, a running one when its worker hears of it or its lease ends. Cancelling an ended job is
  // OK.
  [[nodiscard]] virtual absl::StatusOr<Job> Cancel(const std::string& principal, const std::string& id) = 0;
  // Returns leases that ran out to the queue (or fails them past max_attempts, or ends cancelled ones): what each was.
  // The worker is empty for a lease from before a restart, because its name is not known any more.
  struct ExpiredLease {
    std::string job;
    std::string worker;
  };
  [[nodiscard]] virtual absl::StatusOr<std::vector<ExpiredLease>> ExpireLeases() = 0;
  // Checkpoints of jobs that have ended, whichever way: their scratch blobs are to be removed, and then they are to be
  // forgotten. They are not roots of the collection.
  struct EndedCheckpoint {
    std::string job;
    Digest checkpoint;
  };
  [[nodiscard]] virtual absl::StatusOr<std::vector<EndedCheckpoint>> EndedCheckpoints(int limit) = 0;
  [[nodiscard]] virtual absl::Status ForgetCheckpoint(const std::string& job) = 0;
  [[nodiscard]] virtual absl::StatusOr<std::vector<JobLogLine>> Logs(const std::string& principal,
                                                                     const std::string& id, uint64_t first_index,
                                                                     int max_lines) = 0;
  // Goes on from `position` through the jobs that ended before the wall time, oldest first, and removes at most `limit`
  // of them with their logs: those that neither made what the catalogue has nor are named by an upload. Their ids are
  // NOT_FOUND then, their request ids new. A call looks at a bounded number of jobs; `next` is missing once all were.
  struct Purged {
    int64_t removed = 0;
    std::optional<EndedPosition> next;
  };
  [[nodiscard]] virtual absl::StatusOr<Purged> PurgeEnded(int64_t before_wall_millis, const EndedPosition& position,
                                                          int limit) = 0;
  struct LiveCounts {
    int64_t queued = 0;
    int64_t running = 0;
  };
  [[nodiscard]] virtual absl::StatusOr<LiveCounts> CountLive() = 0;

  // `listener` is called after every change of a job, outside any lock, on the thread of the change.
  virtual void SetListener(std::function<void(const std::string& job_id)> listener) = 0;
};

}  // namespace gwq
