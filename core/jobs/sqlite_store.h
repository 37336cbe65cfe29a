// JobStore and Catalogue on one SQLite file, the embedded default. docs/job-store.md lists the tables and the steps at
// which state becomes durable.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "core/base/random_id.h"
#include "core/jobs/catalogue.h"
#include "core/jobs/job_store.h"
#include "core/jobs/pass_store.h"
#include "core/jobs/sqlite.h"
#include "core/jobs/sqlite_rows.h"

namespace gwq {

struct SqliteStoreOptions {
  std::string path;  // ":memory:" keeps nothing
  int64_t lease_ttl_millis = 30'000;
  int max_queued_jobs = 100;   // per principal
  int max_open_uploads = 16;   // per principal
  int max_log_lines = 10'000;  // per job; later ones are dropped
  // Of kept gradient passes, of all principals together and of each; 0: none is kept.
  uint64_t kept_pass_bytes = uint64_t{2} << 30;
  uint64_t kept_pass_principal_bytes = uint64_t{1} << 30;
  std::function<std::string()> new_id = RandomId;
};

// Thread-safe: one mutex around each call. Leases and holds count on the monotonic clock; one that was running when the
// store was closed gets its whole time again on Open.
class SqliteStore final : public JobStore, public Catalogue, public PassStore {
 public:
  // `clock` outlives the store. FAILED_PRECONDITION if the file is of a newer schema.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(SqliteStoreOptions options,
                                                                         const Clock& clock);

  absl::StatusOr<Job> Enqueue(Job job) override;
  absl::Status CanEnqueue(const std::string& principal) override;
  absl::StatusOr<std::optional<Job>> FindByRequest(const std::string& principal, const std::string& request_id,
                                                   const std::string& request_sha256) override;
  absl::StatusOr<Job> Get(const std::string& principal, const std::string& id) override;
  absl::StatusOr<JobPage> List(const std::string& principal, int page_size, const std::string& page_token) override;
  absl::StatusOr<Lease> Acquire(const AcquireOffer& offer) override;
  absl::StatusOr<bool> Renew(const std::string& id, uint64_t fencing_token, const JobProgress& progress,
                             const std::vector<std::string>& log_lines) override;
  absl::StatusOr<Job> GetLeased(const std::string& id, uint64_t fencing_token) override;
  absl::Status SaveCheckpoint(const std::string& id, uint64_t fencing_token, const Digest& checkpoint,
                              const std::optional<Digest>& replaced) override;
  absl::StatusOr<std::vector<EndedCheckpoint>> EndedCheckpoints(int limit) override;
  absl::Status ForgetCheckpoint(const std::string& job) override;
  absl::Status Commit(const std::string& id, uint64_t fencing_token, const Publication& publication) override;
  absl::Status PublishPart(const std::string& id, uint64_t fencing_token, const CatalogueEntry& entry) override;
  absl::Status Fail(const std::string& id, uint64_t fencing_token, const JobError& error, bool retryable,
                    const JobReport& report) override;
  absl::StatusOr<JobReport> Report(const std::string& principal, const std::string& id) override;
  absl::Status ReleaseLease(const std::string& id, uint64_t fencing_token) override;
  absl::StatusOr<Job> Cancel(const std::string& principal, const std::string& id) override;
  absl::StatusOr<std::vector<ExpiredLease>> ExpireLeases() override;
  absl::StatusOr<std::vector<JobLogLine>> Logs(const std::string& principal, const std::string& id,
                                               uint64_t first_index, int max_lines) override;
  absl::StatusOr<Purged> PurgeEnded(int64_t before_wall_millis, const EndedPosition& position, int limit) override;
  absl::StatusOr<LiveCounts> CountLive() override;
  void SetListener(std::function<void(const std::string& job_id)> listener) override;

  absl::StatusOr<CatalogueEntry> Find(const std::string& principal, const std::string& kind,
                                      const std::string& name) override;
  absl::StatusOr<EntryPage> ListEntries(const std::string& principal, const std::string& kind, int page_size,
                                        const std::string& page_token) override;
  absl::Status Delete(const std::string& principal, const std::string& kind, const std::string& name) override;
  absl::StatusOr<Upload> CreateUpload(Upload upload) override;
  absl::StatusOr<Upload> GetUpload(const std::string& principal, const std::string& id) override;
  absl::Status AddUploadPage(const std::string& principal, const std::string& id, int page_index,
                             const std::string& page_json) override;
  absl::StatusOr<std::vector<std::string>> UploadPages(const std::string& principal, const std::string& id) override;
  absl::Status SetUploadCommitted(const std::string& principal, const std::string& id, const std::string& job) override;
  absl::Status DeleteUpload(const std::string& principal, const std::string& id) override;
  absl::StatusOr<std::vector<Upload>> ExpireUploads() override;
  absl::StatusOr<std::vector<Upload>> OpenUploads() override;
  absl::Status Hold(const std::string& principal, const Digest& manifest, const std::string& holder,
                    int64_t ttl_millis) override;
  absl::StatusOr<CatalogueEntry> FindAndHold(const std::string& principal, const std::string& kind,
                                             const std::string& name, const std::string& holder,
                                             int64_t ttl_millis) override;
  absl::Status ReleaseHold(const std::string& principal, const Digest& manifest, const std::string& holder) override;
  absl::StatusOr<CollectionRoots> Roots() override;

  absl::StatusOr<std::optional<PassRecord>> FindPass(const std::string& principal, const PassKey& key) override;
  absl::StatusOr<std::vector<Digest>> KeepPass(const PassRecord& record) override;

  // See Database::SetStepHook.
  void SetStepHook(std::function<void(std::string_view step)> hook);

 private:
  SqliteStore(SqliteStoreOptions options, const Clock& clock, std::unique_ptr<Database> database);

  // Brings the schema up to date and gives running leases and holds their time.
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status UpdateSchema() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those of live jobs, which schemas before 4 did not store.
  absl::Status StoreInputsOfLiveJobs() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those of the reports of artifacts, which schemas before 6 did not store.
  absl::Status StoreSummaries() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status StoreInputs(int64_t sequence, const JobInputs& inputs) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<Digest>> Digests(std::string_view select) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<JobRow> FindJob(const std::string& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<CatalogueEntry> FindEntry(const std::string& principal, const std::string& kind,
                                           const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // None for the empty key.
  absl::StatusOr<std::optional<Job>> FindJobByRequest(const std::string& principal, const std::string& request_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<JobRow> FindOwned(const std::string& principal, const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The job under the current lease, or ABORTED.
  absl::StatusOr<JobRow> FindLeased(const std::string& id, uint64_t fencing_token)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::vector<JobRow>> InState(JobState state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckQueue(const std::string& principal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Writes the columns that change in a job's life and raises the version.
  absl::Status Save(JobRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What follows an attempt without a result: the queue again, or the end.
  void EndAttempt(JobRow& row, const JobError& error, bool retryable) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<uint64_t> NextFencingToken() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AppendLogs(int64_t sequence, const std::vector<std::string>& lines)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Sequences of ended jobs that nothing needs; moves `position`, and resets it at the end.
  absl::StatusOr<std::vector<int64_t>> FindPurgeable(int64_t before_wall_millis, int limit,
                                                     std::optional<EndedPosition>& position)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Publish(const Job& job, const CatalogueEntry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::StatusOr<Upload> FindUpload(const std::string& principal, const std::string& id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // FAILED_PRECONDITION if a live job or a hold of the principal needs the manifest.
  absl::Status CheckUnused(const CatalogueEntry& entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status PutHold(const std::string& principal, const Digest& manifest, const std::string& holder,
                       int64_t ttl_millis) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DropEndedHolds() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status RemovePass(const PassRecord& pass) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of the principal, or of all if it is empty, until they have no more than `limit` bytes.
  absl::Status EvictPasses(const std::string& principal, uint64_t limit, std::vector<Digest>& removed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Those of models that the principal has not any more.
  absl::Status DropPassesWithoutModel(const std::string& principal) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Outside the lock.
  void Notify(const std::string& job_id);

  const SqliteStoreOptions options_;
  const Clock& clock_;
  Mutex mutex_;
  const std::unique_ptr<Database> database_;  // used under mutex_
  struct LeaseEnd {
    int64_t at = 0;  // monotonic milliseconds
    std::string worker;
  };
  std::map<std::string, LeaseEnd> lease_ends_ ABSL_GUARDED_BY(mutex_);  // of each running job
  std::map<std::string, int64_t> hold_ends_ ABSL_GUARDED_BY(mutex_);    // "principal\nmanifest\nholder"
  std::function<void(const std::string&)> listener_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
