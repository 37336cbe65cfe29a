#include "core/jobs/sqlite_rows.h"

#include "core/base/status.h"

namespace gwq {

const char* const kSchemas[kSchemaVersion] = {
    R"(
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('fencing_token', 0);
CREATE TABLE jobs (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  principal TEXT NOT NULL,
  kind TEXT NOT NULL,
  spec_json TEXT NOT NULL,
  request_id TEXT NOT NULL,
  memory_bytes INTEGER NOT NULL,
  state INTEGER NOT NULL,
  phase TEXT NOT NULL DEFAULT '',
  done INTEGER NOT NULL DEFAULT 0,
  total INTEGER NOT NULL DEFAULT 0,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  attempt INTEGER NOT NULL DEFAULT 0,
  max_attempts INTEGER NOT NULL,
  error_code INTEGER NOT NULL DEFAULT 0,
  error_message TEXT NOT NULL DEFAULT '',
  error_field TEXT NOT NULL DEFAULT '',
  result_json TEXT NOT NULL DEFAULT '',
  device TEXT NOT NULL DEFAULT '',
  created INTEGER NOT NULL,
  started INTEGER NOT NULL DEFAULT 0,
  finished INTEGER NOT NULL DEFAULT 0,
  version INTEGER NOT NULL DEFAULT 1,
  fencing_token INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX jobs_by_request ON jobs (principal, request_id) WHERE request_id <> '';
CREATE INDEX jobs_by_state ON jobs (state, principal);
CREATE INDEX jobs_by_principal ON jobs (principal, seq);
CREATE TABLE logs (
  job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  line INTEGER NOT NULL,
  wall INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (job, line)) WITHOUT ROWID;
CREATE TABLE entries (
  principal TEXT NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  manifest TEXT NOT NULL,
  stored_bytes INTEGER NOT NULL,
  architecture TEXT NOT NULL,
  source TEXT NOT NULL,
  report_json TEXT NOT NULL,
  report_markdown TEXT NOT NULL,
  job TEXT NOT NULL,
  created INTEGER NOT NULL,
  PRIMARY KEY (principal, kind, name)) WITHOUT ROWID;
CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  principal TEXT NOT NULL,
  name TEXT NOT NULL,
  request_id TEXT NOT NULL,
  total_bytes INTEGER NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  commit_job TEXT NOT NULL DEFAULT '') WITHOUT ROWID;
CREATE UNIQUE INDEX uploads_by_request ON uploads (principal, request_id) WHERE request_id <> '';
CREATE TABLE upload_pages (
  upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
  page INTEGER NOT NULL,
  json TEXT NOT NULL,
  PRIMARY KEY (upload, page));
CREATE TABLE holds (
  principal TEXT NOT NULL,
  manifest TEXT NOT NULL,
  holder TEXT NOT NULL,
  ttl INTEGER NOT NULL,
  PRIMARY KEY (principal, manifest, holder)) WITHOUT ROWID;
PRAGMA user_version = 1;
)",
    R"(
ALTER TABLE jobs ADD COLUMN request_sha256 TEXT NOT NULL DEFAULT '';
PRAGMA user_version = 2;
)",
    R"(
CREATE INDEX jobs_by_end ON jobs (finished) WHERE state >= 2;
CREATE INDEX entries_by_job ON entries (job);
CREATE INDEX uploads_by_job ON uploads (commit_job);
PRAGMA user_version = 3;
)",
    R"(
CREATE TABLE job_inputs (
  job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  is_manifest INTEGER NOT NULL,
  PRIMARY KEY (job, digest, is_manifest)) WITHOUT ROWID;
ALTER TABLE jobs ADD COLUMN checkpoint TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN texts TEXT NOT NULL DEFAULT '';
CREATE INDEX jobs_by_texts ON jobs (texts) WHERE texts <> '';
PRAGMA user_version = 4;
)",
    R"(
ALTER TABLE jobs ADD COLUMN disk_bytes INTEGER NOT NULL DEFAULT 0;
CREATE INDEX jobs_by_ended_checkpoint ON jobs (seq) WHERE state >= 2 AND checkpoint <> '';
PRAGMA user_version = 5;
)",
    R"(
ALTER TABLE entries ADD COLUMN summary_json TEXT NOT NULL DEFAULT '';
CREATE TABLE job_reports (
  job INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
  json TEXT NOT NULL,
  markdown TEXT NOT NULL);
PRAGMA user_version = 6;
)",
    R"(
CREATE TABLE passes (
  principal TEXT NOT NULL,
  what TEXT NOT NULL,
  producer TEXT NOT NULL,
  model TEXT NOT NULL,
  record TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  created INTEGER NOT NULL,
  used INTEGER NOT NULL,
  PRIMARY KEY (principal, what, producer)) WITHOUT ROWID;
CREATE INDEX passes_by_use ON passes (used);
PRAGMA user_version = 7;
)"};

namespace {

// An empty column is no digest.
absl::StatusOr<std::optional<Digest>> ReadDigest(const std::string& hex) {
  if (hex.empty()) return std::nullopt;
  return Digest::Parse(hex);
}

}  // namespace

absl::StatusOr<std::optional<JobRow>> ReadJob(Statement& statement) {
  GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
  if (!more) return std::nullopt;
  JobRow row;
  int column = 0;
  const auto text = [&] { return statement.Text(column++); };
  const auto number = [&] { return statement.Int(column++); };
  row.sequence = number();
  Job& job = row.job;
  job.id = text();
  job.principal = text();
  job.kind = text();
  job.spec_json = text();
  job.request_id = text();
  job.memory_bytes = static_cast<uint64_t>(number());
  job.state = static_cast<JobState>(number());
  job.progress.phase = text();
  job.progress.done = number();
  job.progress.total = number();
  job.cancel_requested = number() != 0;
  job.attempt = static_cast<int>(number());
  job.max_attempts = static_cast<int>(number());
  JobError error;
  error.code = static_cast<int>(number());
  error.message = text();
  error.field = text();
  if (error.code != 0) job.error = error;
  job.result_json = text();
  job.device = text();
  job.created_wall_millis = number();
  job.started_wall_millis = number();
  job.finished_wall_millis = number();
  job.version = static_cast<uint64_t>(number());
  row.fencing_token = static_cast<uint64_t>(number());
  job.request_sha256 = text();
  GWQ_ASSIGN_OR_RETURN(job.checkpoint, ReadDigest(text()));
  // Of an ended job it is only there to be cleared away (EndedCheckpoints).
  if (job.state != JobState::kQueued && job.state != JobState::kRunning) job.checkpoint.reset();
  GWQ_ASSIGN_OR_RETURN(job.texts, ReadDigest(text()));
  job.has_report = number() != 0;
  return row;
}

absl::StatusOr<std::vector<JobRow>> ReadJobs(Statement& statement) {
  std::vector<JobRow> out;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(std::optional<JobRow> row, ReadJob(statement));
    if (!row.has_value()) return out;
    out.push_back(*std::move(row));
  }
}

absl::StatusOr<std::vector<CatalogueEntry>> ReadEntries(Statement& statement) {
  std::vector<CatalogueEntry> out;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return out;
    CatalogueEntry& entry = out.emplace_back();
    entry.principal = statement.Text(0);
    entry.kind = statement.Text(1);
    entry.name = statement.Text(2);
    GWQ_ASSIGN_OR_RETURN(entry.manifest, Digest::Parse(statement.Text(3)));
    entry.stored_bytes = statement.Unsigned(4);
    entry.architecture = statement.Text(5);
    GWQ_ASSIGN_OR_RETURN(entry.source, ReadDigest(statement.Text(6)));
    entry.report_json = statement.Text(7);
    entry.report_markdown = statement.Text(8);
    entry.job = statement.Text(9);
    entry.created_wall_millis = statement.Int(10);
    entry.summary_json = statement.Text(11);
  }
}

absl::StatusOr<std::vector<Upload>> ReadUploads(Statement& statement) {
  std::vector<Upload> out;
  for (;;) {
    GWQ_ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return out;
    Upload& upload = out.emplace_back();
    upload.id = statement.Text(0);
    upload.principal = statement.Text(1);
    upload.name = statement.Text(2);
    upload.request_id = statement.Text(3);
    upload.total_bytes = statement.Unsigned(4);
    upload.created_wall_millis = statement.Int(5);
    upload.expires_wall_millis = statement.Int(6);
    upload.commit_job = statement.Text(7);
  }
}

}  // namespace gwq
