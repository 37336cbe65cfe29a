// Opening a SqliteStore, and its Catalogue half.
#include <fmt/format.h>

#include "core/base/status.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/jobs/sqlite_store.h"
#include "core/quant/report_summary.h"

namespace gwq {
namespace {

constexpr int kMaxPageSize = 1000;
constexpr int64_t kQuotaRetryMillis = 60'000;

std::string HoldKey(const std::string& principal, const std::string& manifest, const std::string& holder) {
  return fmt::format("{}\n{}\n{}", principal, manifest, holder);
}

absl::Status NoUpload(const std::string& id) {
  return absl::NotFoundError(fmt::format("uploads/{}: there is no such upload; it may have expired", id));
}

}  // namespace

SqliteStore::SqliteStore(SqliteStoreOptions options, const Clock& clock, std::unique_ptr<Database> database)
    : options_(std::move(options)), clock_(clock), database_(std::move(database)) {}

absl::StatusOr<std::unique_ptr<SqliteStore>> SqliteStore::Open(SqliteStoreOptions options, const Clock& clock) {
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(options.path));
  auto store = std::unique_ptr<SqliteStore>(new SqliteStore(std::move(options), clock, std::move(database)));
  MutexLock lock(store->mutex_);
  GWQ_RETURN_IF_ERROR(Annotate(store->Load(), store->options_.path));
  return store;
}

absl::Status SqliteStore::UpdateSchema() {
  int64_t version = 0;
  {
    GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare("PRAGMA user_version"));
    GWQ_ASSIGN_OR_RETURN(const bool row, statement.Step());
    if (row) version = statement.Int(0);
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(
        fmt::format("the store has schema {}, this program knows {}; use a newer gwq-jobs", version, kSchemaVersion));
  }
  if (version == kSchemaVersion) return absl::OkStatus();
  const bool lacks_inputs = version < 4;
  const bool lacks_summaries = version < 6;
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  for (; version < kSchemaVersion; ++version) GWQ_RETURN_IF_ERROR(database_->Execute(kSchemas[version]));
  if (lacks_inputs) GWQ_RETURN_IF_ERROR(StoreInputsOfLiveJobs());
  if (lacks_summaries) GWQ_RETURN_IF_ERROR(StoreSummaries());
  return transaction.Commit();
}

absl::Status SqliteStore::StoreInputsOfLiveJobs() {
  for (const JobState state : {JobState::kQueued, JobState::kRunning}) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<JobRow> rows, InState(state));
    for (const JobRow& row : rows) {
      const auto kind = FindJobKind(row.job.kind);
      const auto inputs = kind.ok() ? (*kind)->inputs(row.job.spec_json) : kind.status();
      // A spec that cannot be read names nothing: its job fails for that.
      if (inputs.ok()) GWQ_RETURN_IF_ERROR(StoreInputs(row.sequence, *inputs));
    }
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::StoreSummaries() {
  std::vector<std::pair<std::string, std::string>> artifacts;
  {
    GWQ_ASSIGN_OR_RETURN(Statement list,
                         database_->Prepare("SELECT principal, name FROM entries WHERE kind = 'artifact'"));
    for (;;) {
      GWQ_ASSIGN_OR_RETURN(const bool more, list.Step());
      if (!more) break;
      artifacts.emplace_back(list.Text(0), list.Text(1));
    }
  }
  // One report at a time is in memory.
  for (const auto& [principal, name] : artifacts) {
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, FindEntry(principal, "artifact", name));
    const std::optional<ReportSummary> summary = SummaryOfReport(entry.report_json);
    if (!summary) continue;
    GWQ_ASSIGN_OR_RETURN(
        Statement update,
        database_->Prepare(
            "UPDATE entries SET summary_json = ? WHERE principal = ? AND kind = 'artifact' AND name = ?"));
    GWQ_RETURN_IF_ERROR(update.Bind(SummaryJson(*summary), principal, name).Run());
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::Load() {
  GWQ_RETURN_IF_ERROR(UpdateSchema());
  const int64_t now = clock_.MonotonicMillis();
  GWQ_ASSIGN_OR_RETURN(const std::vector<JobRow> running, InState(JobState::kRunning));
  for (const JobRow& row : running) lease_ends_[row.job.id] = {now + options_.lease_ttl_millis, ""};
  GWQ_ASSIGN_OR_RETURN(Statement holds, database_->Prepare("SELECT principal, manifest, holder, ttl FROM holds"));
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, holds.Step());
    if (!more) return absl::OkStatus();
    hold_ends_[HoldKey(holds.Text(0), holds.Text(1), holds.Text(2))] = now + holds.Int(3);
  }
}

void SqliteStore::SetStepHook(std::function<void(std::string_view step)> hook) {
  MutexLock lock(mutex_);
  database_->SetStepHook(std::move(hook));
}

absl::StatusOr<CatalogueEntry> SqliteStore::Find(const std::string& principal, const std::string& kind,
                                                 const std::string& name) {
  MutexLock lock(mutex_);
  return FindEntry(principal, kind, name);
}

absl::StatusOr<CatalogueEntry> SqliteStore::FindEntry(const std::string& principal, const std::string& kind,
                                                      const std::string& name) {
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare(fmt::format(
                           "SELECT {} FROM entries WHERE principal = ? AND kind = ? AND name = ?", kEntryColumns)));
  statement.Bind(principal, kind, name);
  GWQ_ASSIGN_OR_RETURN(std::vector<CatalogueEntry> rows, ReadEntries(statement));
  return Only(std::move(rows), absl::NotFoundError(fmt::format("{}s/{}: there is no such {}", kind, name, kind)));
}

absl::StatusOr<Catalogue::EntryPage> SqliteStore::ListEntries(const std::string& principal, const std::string& kind,
                                                              int page_size, const std::string& page_token) {
  if (page_size < 1 || page_size > kMaxPageSize) {
    return InvalidField("page_size", fmt::format("{} is not in 1..{}", page_size, kMaxPageSize));
  }
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(
      Statement statement,
      database_->Prepare(
          "SELECT principal, kind, name, manifest, stored_bytes, architecture, source, '', '', job, "
          "created, summary_json FROM entries WHERE principal = ? AND kind = ? AND name > ? ORDER BY name LIMIT ?"));
  statement.Bind(principal, kind, page_token, page_size + 1);
  EntryPage page;
  GWQ_ASSIGN_OR_RETURN(page.entries, ReadEntries(statement));
  if (static_cast<int>(page.entries.size()) > page_size) {
    page.entries.pop_back();
    page.next_page_token = page.entries.back().name;
  }
  return page;
}

absl::Status SqliteStore::DropEndedHolds() {
  const int64_t now = clock_.MonotonicMillis();
  for (auto hold = hold_ends_.begin(); hold != hold_ends_.end();) {
    if (hold->second > now) {
      ++hold;
      continue;
    }
    GWQ_ASSIGN_OR_RETURN(
        Statement statement,
        database_->Prepare("DELETE FROM holds WHERE principal || char(10) || manifest || char(10) || holder = ?"));
    GWQ_RETURN_IF_ERROR(statement.Bind(hold->first).Run());
    hold = hold_ends_.erase(hold);
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::CheckUnused(const CatalogueEntry& entry) {
  const auto refuse = [&](std::string_view who) {
    return absl::FailedPreconditionError(fmt::format("{}s/{} is needed by {}", entry.kind, entry.name, who));
  };
  GWQ_ASSIGN_OR_RETURN(
      Statement needing,
      database_->Prepare("SELECT id FROM jobs JOIN job_inputs ON job = seq "
                         "WHERE state < 2 AND principal = ? AND digest = ? AND is_manifest = 1 ORDER BY seq LIMIT 1"));
  GWQ_ASSIGN_OR_RETURN(const bool needed, needing.Bind(entry.principal, entry.manifest.Hex()).Step());
  if (needed) return refuse(fmt::format("jobs/{}; wait for it or cancel it", needing.Text(0)));
  const std::string prefix = HoldKey(entry.principal, entry.manifest.Hex(), "");
  const auto hold = hold_ends_.lower_bound(prefix);
  if (hold != hold_ends_.end() && hold->first.starts_with(prefix)) {
    return refuse(
        fmt::format("the server '{}', which has loaded it; unload it there or, if that server is gone, wait: its "
                    "hold runs out in {} s",
                    hold->first.substr(prefix.size()), (hold->second - clock_.MonotonicMillis() + 999) / 1000));
  }
  return absl::OkStatus();
}

absl::Status SqliteStore::Delete(const std::string& principal, const std::string& kind, const std::string& name) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, FindEntry(principal, kind, name));
  GWQ_RETURN_IF_ERROR(DropEndedHolds());
  GWQ_RETURN_IF_ERROR(CheckUnused(entry));
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare("DELETE FROM entries WHERE principal = ? AND kind = ? AND name = ?"));
  GWQ_RETURN_IF_ERROR(statement.Bind(principal, kind, name).Run());
  GWQ_RETURN_IF_ERROR(DropPassesWithoutModel(principal));
  return transaction.Commit();
}

absl::StatusOr<Upload> SqliteStore::FindUpload(const std::string& principal, const std::string& id) {
  GWQ_ASSIGN_OR_RETURN(
      Statement statement,
      database_->Prepare(fmt::format("SELECT {} FROM uploads WHERE id = ? AND principal = ?", kUploadColumns)));
  statement.Bind(id, principal);
  GWQ_ASSIGN_OR_RETURN(std::vector<Upload> rows, ReadUploads(statement));
  return Only(std::move(rows), NoUpload(id));
}

absl::StatusOr<Upload> SqliteStore::CreateUpload(Upload upload) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  if (!upload.request_id.empty()) {
    GWQ_ASSIGN_OR_RETURN(Statement find,
                         database_->Prepare(fmt::format("SELECT {} FROM uploads WHERE principal = ? AND request_id = ?",
                                                        kUploadColumns)));
    find.Bind(upload.principal, upload.request_id);
    GWQ_ASSIGN_OR_RETURN(const std::vector<Upload> found, ReadUploads(find));
    if (!found.empty()) {
      const Upload& first = found.front();
      if (first.name == upload.name && first.total_bytes == upload.total_bytes) return first;
      return absl::AlreadyExistsError(
          fmt::format("request_id: uploads/{} was created with it for another model or size; use a new id", first.id));
    }
  }
  GWQ_ASSIGN_OR_RETURN(Statement count,
                       database_->Prepare("SELECT count(*) FROM uploads WHERE principal = ? AND commit_job = ''"));
  GWQ_ASSIGN_OR_RETURN(const bool row, count.Bind(upload.principal).Step());
  if (row && count.Int(0) >= options_.max_open_uploads) {
    return WithRetryDelay(
        absl::ResourceExhaustedError(fmt::format("{} uploads are open, the limit is {}; commit or delete one",
                                                 count.Int(0), options_.max_open_uploads)),
        kQuotaRetryMillis);
  }
  upload.id = options_.new_id();
  upload.commit_job.clear();
  GWQ_ASSIGN_OR_RETURN(Statement insert, database_->Prepare("INSERT INTO uploads VALUES (?,?,?,?,?,?,?,'')"));
  GWQ_RETURN_IF_ERROR(insert
                          .Bind(upload.id, upload.principal, upload.name, upload.request_id, upload.total_bytes,
                                upload.created_wall_millis, upload.expires_wall_millis)
                          .Run());
  GWQ_RETURN_IF_ERROR(transaction.Commit());
  return upload;
}

absl::StatusOr<Upload> SqliteStore::GetUpload(const std::string& principal, const std::string& id) {
  MutexLock lock(mutex_);
  return FindUpload(principal, id);
}

absl::Status SqliteStore::AddUploadPage(const std::string& principal, const std::string& id, int page_index,
                                        const std::string& page_json) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(FindUpload(principal, id).status());
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  {
    GWQ_ASSIGN_OR_RETURN(Statement find,
                         database_->Prepare("SELECT json FROM upload_pages WHERE upload = ? AND page = ?"));
    GWQ_ASSIGN_OR_RETURN(const bool row, find.Bind(id, page_index).Step());
    if (row) {
      if (find.Text(0) == page_json) return absl::OkStatus();
      return absl::AlreadyExistsError(fmt::format(
          "page: page {} of uploads/{} was sent before with other files; start a new upload", page_index, id));
    }
  }
  GWQ_ASSIGN_OR_RETURN(Statement insert, database_->Prepare("INSERT INTO upload_pages VALUES (?, ?, ?)"));
  GWQ_RETURN_IF_ERROR(insert.Bind(id, page_index, page_json).Run());
  return transaction.Commit();
}

absl::StatusOr<std::vector<std::string>> SqliteStore::UploadPages(const std::string& principal, const std::string& id) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(FindUpload(principal, id).status());
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare("SELECT json FROM upload_pages WHERE upload = ? ORDER BY page"));
  statement.Bind(id);
  std::vector<std::string> pages;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return pages;
    pages.push_back(statement.Text(0));
  }
}

absl::Status SqliteStore::SetUploadCommitted(const std::string& principal, const std::string& id,
                                             const std::string& job) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(FindUpload(principal, id).status());
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare("UPDATE uploads SET commit_job = ? WHERE id = ?"));
  GWQ_RETURN_IF_ERROR(statement.Bind(job, id).Run());
  return transaction.Commit();
}

absl::Status SqliteStore::DeleteUpload(const std::string& principal, const std::string& id) {
  MutexLock lock(mutex_);
  GWQ_RETURN_IF_ERROR(FindUpload(principal, id).status());
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare("DELETE FROM uploads WHERE id = ?"));
  GWQ_RETURN_IF_ERROR(statement.Bind(id).Run());
  return transaction.Commit();
}

absl::StatusOr<std::vector<Upload>> SqliteStore::ExpireUploads() {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Statement select,
                       database_->Prepare(fmt::format("SELECT {} FROM uploads WHERE expires <= ?", kUploadColumns)));
  select.Bind(clock_.WallMillis());
  GWQ_ASSIGN_OR_RETURN(std::vector<Upload> expired, ReadUploads(select));
  if (expired.empty()) return expired;
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  for (const Upload& upload : expired) {
    GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare("DELETE FROM uploads WHERE id = ?"));
    GWQ_RETURN_IF_ERROR(statement.Bind(upload.id).Run());
  }
  GWQ_RETURN_IF_ERROR(transaction.Commit());
  return expired;
}

absl::StatusOr<std::vector<Upload>> SqliteStore::OpenUploads() {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare(fmt::format("SELECT {} FROM uploads WHERE commit_job = ''", kUploadColumns)));
  return ReadUploads(statement);
}

absl::Status SqliteStore::Hold(const std::string& principal, const Digest& manifest, const std::string& holder,
                               int64_t ttl_millis) {
  MutexLock lock(mutex_);
  return PutHold(principal, manifest, holder, ttl_millis);
}

absl::StatusOr<CatalogueEntry> SqliteStore::FindAndHold(const std::string& principal, const std::string& kind,
                                                        const std::string& name, const std::string& holder,
                                                        int64_t ttl_millis) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(CatalogueEntry entry, FindEntry(principal, kind, name));
  GWQ_RETURN_IF_ERROR(PutHold(principal, entry.manifest, holder, ttl_millis));
  return entry;
}

absl::Status SqliteStore::PutHold(const std::string& principal, const Digest& manifest, const std::string& holder,
                                  int64_t ttl_millis) {
  GWQ_ASSIGN_OR_RETURN(Statement stored,
                       database_->Prepare("SELECT ttl FROM holds WHERE principal = ? AND manifest = ? AND holder = ?"));
  GWQ_ASSIGN_OR_RETURN(const bool row, stored.Bind(principal, manifest.Hex(), holder).Step());
  // A renewal is not written: its end is not kept on the disk, only how long it lasts.
  if (!row || stored.Int(0) != ttl_millis) {
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare("INSERT OR REPLACE INTO holds VALUES (?, ?, ?, ?)"));
    GWQ_RETURN_IF_ERROR(statement.Bind(principal, manifest.Hex(), holder, ttl_millis).Run());
    GWQ_RETURN_IF_ERROR(transaction.Commit());
  }
  hold_ends_[HoldKey(principal, manifest.Hex(), holder)] = clock_.MonotonicMillis() + ttl_millis;
  return absl::OkStatus();
}

absl::Status SqliteStore::ReleaseHold(const std::string& principal, const Digest& manifest, const std::string& holder) {
  MutexLock lock(mutex_);
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  GWQ_ASSIGN_OR_RETURN(Statement statement,
                       database_->Prepare("DELETE FROM holds WHERE principal = ? AND manifest = ? AND holder = ?"));
  GWQ_RETURN_IF_ERROR(statement.Bind(principal, manifest.Hex(), holder).Run());
  GWQ_RETURN_IF_ERROR(transaction.Commit());
  hold_ends_.erase(HoldKey(principal, manifest.Hex(), holder));
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Digest>> SqliteStore::Digests(std::string_view select) {
  GWQ_ASSIGN_OR_RETURN(Statement statement, database_->Prepare(std::string(select)));
  std::vector<Digest> out;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return out;
    GWQ_ASSIGN_OR_RETURN(out.emplace_back(), Digest::Parse(statement.Text(0)));
  }
}

absl::StatusOr<CollectionRoots> SqliteStore::Roots() {
  MutexLock lock(mutex_);
  {
    GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
    GWQ_RETURN_IF_ERROR(DropEndedHolds());
    GWQ_RETURN_IF_ERROR(transaction.Commit());
  }
  CollectionRoots roots;
  GWQ_ASSIGN_OR_RETURN(roots.manifests, Digests("SELECT manifest FROM entries UNION SELECT manifest FROM holds UNION "
                                                "SELECT digest FROM job_inputs JOIN jobs ON job = seq "
                                                "WHERE state < 2 AND is_manifest = 1"));
  GWQ_ASSIGN_OR_RETURN(roots.blobs, Digests("SELECT texts FROM jobs WHERE texts <> '' UNION "
                                            "SELECT digest FROM job_inputs JOIN jobs ON job = seq "
                                            "WHERE state < 2 AND is_manifest = 0"));
  GWQ_ASSIGN_OR_RETURN(roots.checkpoints, Digests("SELECT checkpoint FROM jobs WHERE state < 2 AND checkpoint <> '' "
                                                  "UNION SELECT record FROM passes"));
  GWQ_ASSIGN_OR_RETURN(Statement oldest,
                       database_->Prepare("SELECT started FROM jobs WHERE state = 1 ORDER BY started LIMIT 1"));
  GWQ_ASSIGN_OR_RETURN(const bool runs, oldest.Step());
  if (runs) roots.running_since_wall_millis = oldest.Int(0);
  return roots;
}

}  // namespace gwq
