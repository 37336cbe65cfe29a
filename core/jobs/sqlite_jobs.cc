// The JobStore half of SqliteStore.
#include <fmt/format.h>

#include <charconv>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/jobs/sqlite_store.h"

namespace gwq {
namespace {

constexpr int kMaxPageSize = 1000;
constexpr size_t kMaxPageSpecBytes = 1 << 20;
constexpr int64_t kQueueRetryMillis = 5'000;
constexpr size_t kMaxLogLineBytes = 4096;
constexpr int kMaxLookedAt = 200;  // ended jobs in a step of a removal

std::string SelectJobs(std::string_view rest) { return fmt::format("SELECT {} FROM jobs {}", kJobColumns, rest); }

std::string HexOf(const std::optional<Digest>& digest) { return digest.has_value() ? digest->Hex() : std::string(); }

absl::Status NoJob(const std::string& id) {
  return absl::NotFoundError(fmt::format("jobs/{}: there is no such job", id));
}

absl::Status LeaseLost(const std::string& id, uint64_t fencing_token) {
  return absl::AbortedError(
      fmt::format("jobs/{}: the lease with fencing token {} is over; write nothing more", id, fencing_token));
}

bool SameRequest(const Job& a, const Job& b) {
  if (!a.request_sha256.empty() && !b.request_sha256.empty()) return a.request_sha256 == b.request_sha256;
  return a.kind == b.kind && a.spec_json == b.spec_json && a.texts == b.texts;
}

absl::Status OtherRequest(const Job& first) {
  return absl::AlreadyExistsError(
      fmt::format("request_id: jobs/{} was created with it and another spec; use a new id", first.id));
}

absl::StatusOr<int64_t> ParsePageToken(const std::string& token) {
  if (token.empty()) return INT64_MAX;
  int64_t value = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), value);
  if (error != std::errc() || end != token.data() + token.size() || value < 0) {
    return InvalidField("page_token", "not a token of an earlier page; leave it empty to start anew");
  }
  return value;
}

}  // namespace

absl::StatusOr<JobRow> SqliteStore::FindJob(const std::string& id) {
  GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare(SelectJobs("WHERE id = ?")));
  statement.Bind(id);
  GWQ_ASSIGN_OR_RETURN(std::vector<JobRow> rows, ReadJobs(statement));
  return Only(std::move(rows), NoJob(id));
}

absl::StatusOr<JobRow> SqliteStore::FindOwned(const std::string& principal, const std::string& id) {
  GWQ_ASSIGN_OR_RETURN(JobRow row, FindJob(id));
  if (row.job.principal != principal) return NoJob(id);
  return row;
}

absl::StatusOr<JobRow> SqliteStore::FindLeased(const std::string& id, uint64_t fencing_token) {
  auto row = FindJob(id);
  if (absl::IsNotFound(row.status())) return LeaseLost(id, fencing_token);
  if (!row.ok()) return row.status();
  if (row->job.state != JobState::kRunning || row->fencing_token != fencing_token) return LeaseLost(id, fencing_token);
  return row;
}

absl::StatusOr<std::vector<JobRow>> SqliteStore::InState(JobState state) {
  GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare(SelectJobs("WHERE state = ? ORDER BY seq")));
  statement.Bind(static_cast<int>(state));
  return ReadJobs(statement);
}

absl::Status SqliteStore::CanEnqueue(const std::string& principal) {
  MutexLock lock(mutex_);
  return CheckQueue(principal);
}

absl::Status SqliteStore::CheckQueue(const std::string& principal) {
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare("SELECT count(*) FROM jobs WHERE principal = ? AND state = 0"));
  GWQ_ASSIGN_OR_RETURN(const bool row, statement.Bind(principal).Step());
  if (!row || statement.Int(0) < options_.max_queued_jobs) return absl::OkStatus();
  return WithRetryDelay(absl::ResourceExhaustedError(
                            fmt::format("{} jobs wait already, the limit is {}; wait for one to start or cancel one",
                                        statement.Int(0), options_.max_queued_jobs)),
                        kQueueRetryMillis);
}

absl::Status SqliteStore::Save(JobRow& row) {
  Job& job = row.job;
  ++job.version;
  GWQ_ASSIGN_OR_RETURN(
      Statement statement,
      database_->Prepare(
          "UPDATE jobs SET state = ?, phase = ?, done = ?, total = ?, cancel_requested = ?, attempt = ?, "
          "error_code = ?, error_message = ?, error_field = ?, result_json = ?, device = ?, "
          "started = ?, finished = ?, version = ?, fencing_token = ?, checkpoint = ? WHERE seq = ?"));
  const JobError error = job.error.value_or(JobError{});
  return statement
      .Bind(static_cast<int>(job.state), job.progress.phase, job.progress.done, job.progress.total,
            job.cancel_requested, job.attempt, error.code, error.message, error.field, job.result_json, job.device,
            job.started_wall_millis, job.finished_wall_millis, job.version, row.fencing_token, HexOf(job.checkpoint),
            row.sequence)
      .Run();
}

absl::StatusOr<Job> SqliteStore::Enqueue(Job job) {
  {
    MutexLock lock(mutex_);
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    GWQ_ASSIGN_OR_RETURN(std::optional<Job> first, FindJobByRequest(job.principal, job.request_id));
    if (first.has_value()) {
      if (!SameRequest(*first, job)) return OtherRequest(*first);
      return *std::move(first);
    }
    GWQ_RETURN_IF_ERROR(CheckQueue(job.principal));
    job.id = options_.new_id();
    job.created_wall_millis = clock_.WallMillis();
    job.state = JobState::kQueued;
    job.version = 1;
    GWQ_ASSIGN_OR_RETURN(
        Statement insert,
        database_->Prepare("INSERT INTO jobs (id, principal, kind, spec_json, request_id, "
                           "request_sha256, memory_bytes, state, max_attempts, created, texts, disk_bytes) "
                           "VALUES (?,?,?,?,?,?,?,?,?,?,?,?) RETURNING seq"));
    insert.Bind(job.id, job.principal, job.kind, job.spec_json, job.request_id, job.request_sha256, job.memory_bytes,
                static_cast<int>(job.state), job.max_attempts, job.created_wall_millis, HexOf(job.texts),
                job.disk_bytes);
    GWQ_ASSIGN_OR_RETURN(const bool row, insert.Step());
    if (!row) return absl::InternalError("an insert without a row");
    const int64_t sequence = insert.Int(0);
    GWQ_RETURN_IF_ERROR(insert.Run());
    GWQ_RETURN_IF_ERROR(StoreInputs(sequence, job.inputs));
    GWQ_RETURN_IF_ERROR(transaction.Commit());
  }
  Notify(job.id);
  return job;
}

absl::Status SqliteStore::StoreInputs(int64_t sequence, const JobInputs& inputs) {
  for (const std::vector<Digest>* digests : {&inputs.manifests, &inputs.blobs}) {
    for (const Digest& digest : *digests) {
      GWQ_ASSIGN_OR_RETURN(Statement insert, database_->Prepare("INSERT OR IGNORE INTO job_inputs VALUES (?, ?, ?)"));
      GWQ_RETURN_IF_ERROR(insert.Bind(sequence, digest.Hex(), digests == &inputs.manifests).Run());
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<Job>> SqliteStore::FindJobByRequest(const std::string& principal,
                                                                 const std::string& request_id) {
  if (request_id.empty()) return std::nullopt;
  GWQ_ASSIGN_OR_RETURN(Statement find, database_->Prepare(SelectJobs("WHERE principal = ? AND request_id = ?")));
  find.Bind(principal, request_id);
  GWQ_ASSIGN_OR_RETURN(std::vector<JobRow> found, ReadJobs(find));
  if (found.empty()) return std::nullopt;
  return std::move(found.front().job);
}

absl::StatusOr<std::optional<Job>> SqliteStore::FindByRequest(const std::string& principal,
                                                              const std::string& request_id,
                                                              const std::string& request_sha256) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(std::optional<Job> first, FindJobByRequest(principal, request_id));
  if (!first.has_value() || request_sha256.empty()) return first;
  if (first->request_sha256.empty()) return std::nullopt;
  if (first->request_sha256 != request_sha256) return OtherRequest(*first);
  return first;
}

absl::StatusOr<Job> SqliteStore::Get(const std::string& principal, const std::string& id) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(JobRow row, FindOwned(principal, id));
  return std::move(row.job);
}

absl::StatusOr<JobStore::JobPage> SqliteStore::List(const std::string& principal, int page_size,
                                                    const std::string& page_token) {
  if (page_size < 1 || page_size > kMaxPageSize) {
    return InvalidField("page_size", fmt::format("{} is not in 1..{}", page_size, kMaxPageSize));
  }
  GWQ_ASSIGN_OR_RETURN(const int64_t before, ParsePageToken(page_token));
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare(SelectJobs("WHERE principal = ? AND seq < ? ORDER BY seq DESC LIMIT ?")));
  statement.Bind(principal, before, page_size + 1);
  JobPage page;
  for (size_t bytes = 0;;) {
    GWQ_ASSIGN_OR_RETURN(std::optional<JobRow> row, ReadJob(statement));
    if (!row.has_value()) {
      page.next_page_token.clear();
      return page;
    }
    bytes += row->job.spec_json.size();
    const bool full = std::ssize(page.jobs) == page_size || bytes > kMaxPageSpecBytes;
    if (full && !page.jobs.empty()) return page;
    page.next_page_token = std::to_string(row->sequence);
    page.jobs.push_back(std::move(row->job));
  }
}

absl::StatusOr<uint64_t> SqliteStore::NextFencingToken() {
  GWQ_ASSIGN_OR_RETURN(
      Statement statement,
      database_->Prepare("UPDATE meta SET value = value + 1 WHERE key = 'fencing_token' RETURNING value"));
  GWQ_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::DataLossError("the store lost its fencing counter; restore the file from a backup");
  const uint64_t token = statement.Unsigned(0);
  GWQ_RETURN_IF_ERROR(statement.Run());
  return token;
}

absl::StatusOr<Lease> SqliteStore::Acquire(const AcquireOffer& offer) {
  Lease lease;
  {
    MutexLock lock(mutex_);
    std::string kinds;
    for (const std::string& kind : offer.kinds) kinds += "," + kind;
    kinds += kinds.empty() ? "" : ",";
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    JobRow row;
    {
      GWQ_ASSIGN_OR_RETURN(
          Statement statement,
          database_->Prepare(SelectJobs(
              "AS j WHERE state = 0 AND memory_bytes BETWEEN ?3 AND ?1 "
              "AND (?2 = '' OR instr(?2, ',' || kind || ',') > 0) "
              // A job with a checkpoint has its states on the disk already: waiting, it would wait for itself.
              "AND (disk_bytes = 0 OR checkpoint <> '' OR "
              "disk_bytes <= ?4 - (SELECT coalesce(sum(disk_bytes), 0) FROM jobs AS r WHERE r.state = 1)) "
              "ORDER BY (SELECT count(*) FROM jobs AS r WHERE r.state = 1 AND r.principal = j.principal), seq LIMIT "
              "1")));
      statement.Bind(offer.memory_bytes, kinds, offer.min_bytes, std::min<uint64_t>(offer.disk_bytes, INT64_MAX));
      GWQ_ASSIGN_OR_RETURN(std::vector<JobRow> rows, ReadJobs(statement));
      if (rows.empty()) return absl::NotFoundError("no job fits the offer");
      row = std::move(rows.front());
    }
    GWQ_ASSIGN_OR_RETURN(row.fencing_token, NextFencingToken());
    row.job.state = JobState::kRunning;
    row.job.attempt += 1;
    row.job.progress = {};
    row.job.device = offer.device;
    row.job.started_wall_millis = clock_.WallMillis();
    GWQ_RETURN_IF_ERROR(Save(row));
    GWQ_RETURN_IF_ERROR(transaction.Commit());
    lease_ends_[row.job.id] = {clock_.MonotonicMillis() + options_.lease_ttl_millis, offer.worker};
    lease = {std::move(row.job), row.fencing_token, options_.lease_ttl_millis};
  }
  Notify(lease.job.id);
  return lease;
}

absl::Status SqliteStore::AppendLogs(int64_t sequence, const std::vector<std::string>& lines) {
  if (lines.empty()) return absl::OkStatus();
  int64_t next = 0;
  {
    GWQ_ASSIGN_OR_RETURN(Statement count,
                         database_->Prepare("SELECT coalesce(max(line) + 1, 0) FROM logs WHERE job = ?"));
    GWQ_ASSIGN_OR_RETURN(const bool row, count.Bind(sequence).Step());
    if (row) next = count.Int(0);
  }
  for (const std::string& line : lines) {
    if (next >= options_.max_log_lines) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(Statement insert, database_->Prepare("INSERT INTO logs VALUES (?, ?, ?, ?)"));
    const std::string text = ToValidUtf8(std::string_view(line).substr(0, kMaxLogLineBytes));
    GWQ_RETURN_IF_ERROR(insert.Bind(sequence, next++, clock_.WallMillis(), text).Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> SqliteStore::Renew(const std::string& id, uint64_t fencing_token, const JobProgress& progress,
                                        const std::vector<std::string>& log_lines) {
  bool cancel = false;
  {
    MutexLock lock(mutex_);
    GWQ_ASSIGN_OR_RETURN(JobRow row, FindLeased(id, fencing_token));
    cancel = row.job.cancel_requested;
    // Not kept on the disk. It counts although progress cannot be stored, on a full disk for example: the worker is
    // alive.
    lease_ends_[id].at = clock_.MonotonicMillis() + options_.lease_ttl_millis;
    if (progress == row.job.progress && log_lines.empty()) return cancel;
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    row.job.progress = progress;
    GWQ_RETURN_IF_ERROR(AppendLogs(row.sequence, log_lines));
    GWQ_RETURN_IF_ERROR(Save(row));
    GWQ_RETURN_IF_ERROR(transaction.Commit());
  }
  Notify(id);
  return cancel;
}

absl::StatusOr<Job> SqliteStore::GetLeased(const std::string& id, uint64_t fencing_token) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(JobRow row, FindLeased(id, fencing_token));
  return std::move(row.job);
}

absl::Status SqliteStore::SaveCheckpoint(const std::string& id, uint64_t fencing_token, const Digest& checkpoint,
                                         const std::optional<Digest>& replaced) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(const JobRow row, FindLeased(id, fencing_token));
  if (row.job.checkpoint == checkpoint) return absl::OkStatus();
  if (row.job.checkpoint != replaced) {
    return absl::FailedPreconditionError(fmt::format("the checkpoint of job {} is {}, not {}; another call saved it",
                                                     id, HexOf(row.job.checkpoint), HexOf(replaced)));
  }
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  // The attempt brought the job forward: it does not count towards those that may fail.
  GWQ_ASSIGN_OR_RETURN(
      Statement update,
      database_->Prepare(
          "UPDATE jobs SET checkpoint = ?, max_attempts = max(max_attempts, attempt + ?) WHERE seq = ?"));
  GWQ_RETURN_IF_ERROR(update.Bind(checkpoint.Hex(), kMaxAttempts, row.sequence).Run());
  return transaction.Commit();
}

absl::StatusOr<std::vector<JobStore::EndedCheckpoint>> SqliteStore::EndedCheckpoints(int limit) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(
      Statement statement,
      database_->Prepare("SELECT id, checkpoint FROM jobs WHERE state >= 2 AND checkpoint <> '' ORDER BY seq LIMIT ?"));
  statement.Bind(limit);
  std::vector<EndedCheckpoint> out;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return out;
    GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(statement.Text(1)));
    out.push_back({statement.Text(0), digest});
  }
}

absl::Status SqliteStore::ForgetCheckpoint(const std::string& job) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Statement update,
                       database_->Prepare("UPDATE jobs SET checkpoint = '' WHERE id = ? AND state >= 2"));
  return update.Bind(job).Run();
}

absl::Status SqliteStore::Publish(const Job& job, const CatalogueEntry& entry) {
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare("INSERT OR REPLACE INTO entries VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"));
  return statement
      .Bind(job.principal, entry.kind, entry.name, entry.manifest.Hex(), entry.stored_bytes, entry.architecture,
            HexOf(entry.source), entry.report_json, entry.report_markdown, job.id, clock_.WallMillis(),
            entry.summary_json)
      .Run();
}

absl::Status SqliteStore::PublishPart(const std::string& id, uint64_t fencing_token, const CatalogueEntry& entry) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(const JobRow row, FindLeased(id, fencing_token));
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  GWQ_RETURN_IF_ERROR(Publish(row.job, entry));
  GWQ_RETURN_IF_ERROR(DropPassesWithoutModel(row.job.principal));
  return transaction.Commit();
}

absl::Status SqliteStore::Commit(const std::string& id, uint64_t fencing_token, const Publication& publication) {
  {
    MutexLock lock(mutex_);
    auto found = FindLeased(id, fencing_token);
    if (!found.ok()) {
      auto ended = FindJob(id);
      const bool reported_before =
          ended.ok() && ended->job.state == JobState::kSucceeded && ended->fencing_token == fencing_token;
      return reported_before ? absl::OkStatus() : found.status();
    }
    JobRow row = *std::move(found);
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    if (publication.entry.has_value()) {
      GWQ_RETURN_IF_ERROR(Publish(row.job, *publication.entry));
      GWQ_RETURN_IF_ERROR(DropPassesWithoutModel(row.job.principal));
    }
    row.job.state = JobState::kSucceeded;
    row.job.error.reset();
    row.job.result_json = publication.result_json;
    row.job.finished_wall_millis = clock_.WallMillis();
    GWQ_RETURN_IF_ERROR(Save(row));
    GWQ_RETURN_IF_ERROR(transaction.Commit());
    lease_ends_.erase(id);
  }
  Notify(id);
  return absl::OkStatus();
}

void SqliteStore::EndAttempt(JobRow& row, const JobError& error, bool retryable) {
  Job& job = row.job;
  row.fencing_token = 0;
  job.error = error;
  if (job.cancel_requested) {
    job.state = JobState::kCancelled;
    job.error = JobError{static_cast<int>(absl::StatusCode::kCancelled), "cancelled on request", ""};
  } else if (retryable && job.attempt < job.max_attempts) {
    job.state = JobState::kQueued;
    job.device.clear();
    return;
  } else {
    job.state = JobState::kFailed;
  }
  job.finished_wall_millis = clock_.WallMillis();
}

absl::Status SqliteStore::Fail(const std::string& id, uint64_t fencing_token, const JobError& error, bool retryable,
                               const JobReport& report) {
  {
    MutexLock lock(mutex_);
    GWQ_ASSIGN_OR_RETURN(JobRow row, FindLeased(id, fencing_token));
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    EndAttempt(row, error, retryable);
    GWQ_RETURN_IF_ERROR(Save(row));
    if (row.job.state == JobState::kFailed && !report.empty()) {
      GWQ_ASSIGN_OR_RETURN(Statement insert, database_->Prepare("INSERT OR REPLACE INTO job_reports VALUES (?, ?, ?)"));
      GWQ_RETURN_IF_ERROR(insert.Bind(row.sequence, report.json, report.markdown).Run());
    }
    GWQ_RETURN_IF_ERROR(transaction.Commit());
    lease_ends_.erase(id);
  }
  Notify(id);
  return absl::OkStatus();
}

absl::StatusOr<JobReport> SqliteStore::Report(const std::string& principal, const std::string& id) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(const JobRow row, FindOwned(principal, id));
  GWQ_ASSIGN_OR_RETURN(Statement select, database_->Prepare("SELECT json, markdown FROM job_reports WHERE job = ?"));
  GWQ_ASSIGN_OR_RETURN(const bool found, select.Bind(row.sequence).Step());
  if (found) return JobReport{select.Text(0), select.Text(1)};
  return absl::NotFoundError(fmt::format(
      "jobs/{}: it has no report; only a quantization that missed its quality contract keeps one with the job", id));
}

absl::Status SqliteStore::ReleaseLease(const std::string& id, uint64_t fencing_token) {
  {
    MutexLock lock(mutex_);
    GWQ_ASSIGN_OR_RETURN(JobRow row, FindLeased(id, fencing_token));
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    row.job.attempt -= 1;
    EndAttempt(row, JobError{}, /*retryable=*/true);
    if (row.job.state == JobState::kQueued) row.job.error.reset();
    GWQ_RETURN_IF_ERROR(Save(row));
    GWQ_RETURN_IF_ERROR(transaction.Commit());
    lease_ends_.erase(id);
  }
  Notify(id);
  return absl::OkStatus();
}

absl::StatusOr<Job> SqliteStore::Cancel(const std::string& principal, const std::string& id) {
  Job job;
  {
    MutexLock lock(mutex_);
    GWQ_ASSIGN_OR_RETURN(JobRow row, FindOwned(principal, id));
    const bool live = row.job.state == JobState::kQueued || row.job.state == JobState::kRunning;
    if (!live || row.job.cancel_requested) return std::move(row.job);
    row.job.cancel_requested = true;
    if (row.job.state == JobState::kQueued) EndAttempt(row, JobError{}, /*retryable=*/false);
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    GWQ_RETURN_IF_ERROR(Save(row));
    GWQ_RETURN_IF_ERROR(transaction.Commit());
    job = std::move(row.job);
  }
  Notify(id);
  return job;
}

absl::StatusOr<std::vector<JobStore::ExpiredLease>> SqliteStore::ExpireLeases() {
  std::vector<ExpiredLease> expired;
  {
    MutexLock lock(mutex_);
    const int64_t now = clock_.MonotonicMillis();
    for (const auto& [id, end] : lease_ends_) {
      if (end.at <= now) expired.push_back({id, end.worker});
    }
    if (expired.empty()) return expired;
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    for (const ExpiredLease& lease : expired) {
      GWQ_ASSIGN_OR_RETURN(JobRow row, FindJob(lease.job));
      const JobError error{static_cast<int>(absl::StatusCode::kUnavailable),
                           fmt::format("the worker on {} stopped answering (attempt {} of {}); see the service's log",
                                       row.job.device, row.job.attempt, row.job.max_attempts),
                           ""};
      EndAttempt(row, error, /*retryable=*/true);
      GWQ_RETURN_IF_ERROR(Save(row));
    }
    GWQ_RETURN_IF_ERROR(transaction.Commit());
    for (const ExpiredLease& lease : expired) lease_ends_.erase(lease.job);
  }
  for (const ExpiredLease& lease : expired) Notify(lease.job);
  return expired;
}

absl::StatusOr<std::vector<JobLogLine>> SqliteStore::Logs(const std::string& principal, const std::string& id,
                                                          uint64_t first_index, int max_lines) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(const JobRow row, FindOwned(principal, id));
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare("SELECT line, wall, text FROM logs WHERE job = ? AND line >= ? ORDER BY line "
                                          "LIMIT ?"));
  statement.Bind(row.sequence, static_cast<int64_t>(std::min<uint64_t>(first_index, INT64_MAX)), max_lines);
  std::vector<JobLogLine> lines;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return lines;
    lines.push_back({statement.Unsigned(0), statement.Int(1), statement.Text(2)});
  }
}

absl::StatusOr<std::vector<int64_t>> SqliteStore::FindPurgeable(int64_t before_wall_millis, int limit,
                                                                std::optional<EndedPosition>& position) {
  GWQ_ASSIGN_OR_RETURN(
      Statement ended,
      database_->Prepare(
          "SELECT seq, finished, EXISTS (SELECT 1 FROM entries WHERE entries.job = jobs.id) "
          "OR EXISTS (SELECT 1 FROM uploads WHERE uploads.commit_job = jobs.id) FROM jobs "
          "WHERE state >= 2 AND (finished, seq) > (?, ?) AND finished < ? ORDER BY finished, seq LIMIT ?"));
  ended.Bind(position->finished_wall_millis, position->sequence, before_wall_millis, kMaxLookedAt);
  std::vector<int64_t> purgeable;
  for (int looked_at = 0; std::ssize(purgeable) < limit; ++looked_at) {
    GWQ_ASSIGN_OR_RETURN(const bool more, ended.Step());
    if (!more) {
      if (looked_at < kMaxLookedAt) position.reset();
      break;
    }
    position = EndedPosition{ended.Int(1), ended.Int(0)};
    if (ended.Int(2) == 0) purgeable.push_back(position->sequence);
  }
  return purgeable;
}

absl::StatusOr<JobStore::Purged> SqliteStore::PurgeEnded(int64_t before_wall_millis, const EndedPosition& position,
                                                         int limit) {
  MutexLock lock(mutex_);
  Purged out{.removed = 0, .next = position};
  GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> purgeable, FindPurgeable(before_wall_millis, limit, out.next));
  if (purgeable.empty()) return out;
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  for (const int64_t sequence : purgeable) {
    GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare("DELETE FROM jobs WHERE seq = ?"));
    GWQ_RETURN_IF_ERROR(statement.Bind(sequence).Run());
  }
  GWQ_RETURN_IF_ERROR(transaction.Commit());
  out.removed = std::ssize(purgeable);
  return out;
}

absl::StatusOr<JobStore::LiveCounts> SqliteStore::CountLive() {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare("SELECT (SELECT count(*) FROM jobs WHERE state = 0), "
                                                               "(SELECT count(*) FROM jobs WHERE state = 1)"));
  GWQ_ASSIGN_OR_RETURN(const bool row, statement.Step());
  if (!row) return absl::InternalError("a count without a row");
  return LiveCounts{statement.Int(0), statement.Int(1)};
}

void SqliteStore::SetListener(std::function<void(const std::string& job_id)> listener) {
  MutexLock lock(mutex_);
  listener_ = std::move(listener);
}

void SqliteStore::Notify(const std::string& job_id) {
  std::function<void(const std::string&)> listener;
  {
    MutexLock lock(mutex_);
    listener = listener_;
  }
  if (listener) listener(job_id);
}

}  // namespace gwq
