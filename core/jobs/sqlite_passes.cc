// The PassStore part of SqliteStore.
#include <algorithm>

#include "core/base/status.h"
#include "core/jobs/sqlite_store.h"

namespace gwq {
namespace {

// Uses are in one order even if the clock was set back.
constexpr std::string_view kUse =
    "UPDATE passes SET used = max(?, (SELECT max(used) + 1 FROM passes)) "
    "WHERE principal = ? AND what = ? AND producer = ?";

absl::StatusOr<std::vector<PassRecord>> ReadPasses(Statement& statement) {
  std::vector<PassRecord> out;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return out;
    PassRecord& record = out.emplace_back();
    record.principal = statement.Text(0);
    GWQ_ASSIGN_OR_RETURN(record.key.what, Digest::Parse(statement.Text(1)));
    record.key.producer = statement.Text(2);
    GWQ_ASSIGN_OR_RETURN(record.key.model, Digest::Parse(statement.Text(3)));
    GWQ_ASSIGN_OR_RETURN(record.record, Digest::Parse(statement.Text(4)));
    record.bytes = statement.Unsigned(5);
  }
}

}  // namespace

absl::StatusOr<std::optional<PassRecord>> SqliteStore::FindPass(const std::string& principal, const PassKey& key) {
  MutexLock lock(mutex_);
  std::vector<PassRecord> found;
  {
    GWQ_ASSIGN_OR_RETURN(Statement select,
                         database_->Prepare("SELECT principal, what, producer, model, record, bytes FROM passes "
                                            "WHERE principal = ?1 AND what = ?2 AND (?3 = '' OR producer = ?3)"));
    select.Bind(principal, key.what.Hex(), key.producer);
    GWQ_ASSIGN_OR_RETURN(found, ReadPasses(select));
  }
  if (found.size() != 1) return std::nullopt;
  if (!key.producer.empty()) {
    GWQ_ASSIGN_OR_RETURN(Statement use, database_->Prepare(kUse));
    GWQ_RETURN_IF_ERROR(use.Bind(clock_.WallMillis(), principal, key.what.Hex(), key.producer).Run());
  }
  return std::move(found.front());
}

absl::Status SqliteStore::RemovePass(const PassRecord& pass) {
  GWQ_ASSIGN_OR_RETURN(Statement remove,
                       database_->Prepare("DELETE FROM passes WHERE principal = ? AND what = ? AND producer = ?"));
  return remove.Bind(pass.principal, pass.key.what.Hex(), pass.key.producer).Run();
}

absl::Status SqliteStore::EvictPasses(const std::string& principal, uint64_t limit, std::vector<Digest>& removed) {
  for (;;) {
    {
      GWQ_ASSIGN_OR_RETURN(
          Statement sum,
          database_->Prepare("SELECT coalesce(sum(bytes), 0) FROM passes WHERE ?1 = '' OR principal = ?1"));
      GWQ_ASSIGN_OR_RETURN(const bool row, sum.Bind(principal).Step());
      if (!row || sum.Unsigned(0) <= limit) return absl::OkStatus();
    }
    std::vector<PassRecord> oldest;
    {
      GWQ_ASSIGN_OR_RETURN(Statement select,
                           database_->Prepare("SELECT principal, what, producer, model, record, bytes FROM passes "
                                              "WHERE ?1 = '' OR principal = ?1 ORDER BY used, created, what LIMIT 1"));
      select.Bind(principal);
      GWQ_ASSIGN_OR_RETURN(oldest, ReadPasses(select));
    }
    if (oldest.empty()) return absl::OkStatus();
    GWQ_RETURN_IF_ERROR(RemovePass(oldest.front()));
    removed.push_back(oldest.front().record);
  }
}

absl::StatusOr<std::vector<Digest>> SqliteStore::KeepPass(const PassRecord& record) {
  MutexLock lock(mutex_);
  const uint64_t limit = std::min(options_.kept_pass_bytes, options_.kept_pass_principal_bytes);
  {
    GWQ_ASSIGN_OR_RETURN(Statement model, database_->Prepare("SELECT 1 FROM entries WHERE principal = ? AND "
                                                             "kind = 'model' AND manifest = ? LIMIT 1"));
    GWQ_ASSIGN_OR_RETURN(const bool known, model.Bind(record.principal, record.key.model.Hex()).Step());
    if (!known || record.bytes > limit) return std::vector{record.record};
  }
  std::vector<Digest> removed;
  GWQ_ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  {
    GWQ_ASSIGN_OR_RETURN(Statement select,
                         database_->Prepare("SELECT principal, what, producer, model, record, bytes FROM passes "
                                            "WHERE principal = ? AND what = ? AND producer = ?"));
    select.Bind(record.principal, record.key.what.Hex(), record.key.producer);
    GWQ_ASSIGN_OR_RETURN(const std::vector<PassRecord> before, ReadPasses(select));
    // The same one again, because an answer was lost, stays.
    if (!before.empty() && before.front().record != record.record) removed.push_back(before.front().record);
  }
  {
    const int64_t now = clock_.WallMillis();
    GWQ_ASSIGN_OR_RETURN(Statement insert,
                         database_->Prepare("INSERT OR REPLACE INTO passes VALUES (?, ?, ?, ?, ?, ?, ?, max(?, (SELECT "
                                            "coalesce(max(used), 0) + 1 FROM passes)))"));
    GWQ_RETURN_IF_ERROR(insert
                            .Bind(record.principal, record.key.what.Hex(), record.key.producer, record.key.model.Hex(),
                                  record.record.Hex(), record.bytes, now, now)
                            .Run());
  }
  GWQ_RETURN_IF_ERROR(EvictPasses(record.principal, options_.kept_pass_principal_bytes, removed));
  GWQ_RETURN_IF_ERROR(EvictPasses("", options_.kept_pass_bytes, removed));
  GWQ_RETURN_IF_ERROR(transaction.Commit());
  return removed;
}

absl::Status SqliteStore::DropPassesWithoutModel(const std::string& principal) {
  GWQ_ASSIGN_OR_RETURN(
      Statement remove,
      database_->Prepare("DELETE FROM passes WHERE principal = ?1 AND NOT EXISTS (SELECT 1 FROM entries WHERE "
                         "entries.principal = ?1 AND entries.kind = 'model' AND entries.manifest = passes.model)"));
  return remove.Bind(principal).Run();
}

}  // namespace gwq
