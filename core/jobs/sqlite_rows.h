// Rows of the store's tables as records; private to the SQLite store.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/jobs/catalogue.h"
#include "core/jobs/records.h"
#include "core/jobs/sqlite.h"

namespace gwq {

inline constexpr int kSchemaVersion = 7;
// kSchemas[n] makes schema n + 1 of schema n; docs/job-store.md tells what each column means.
extern const char* const kSchemas[kSchemaVersion];

struct JobRow {
  Job job;
  uint64_t fencing_token = 0;
  int64_t sequence = 0;
};
inline constexpr std::string_view kJobColumns =
    "seq, id, principal, kind, spec_json, request_id, memory_bytes, state, phase, done, total, cancel_requested, "
    "attempt, max_attempts, error_code, error_message, error_field, result_json, device, created, started, finished, "
    "version, fencing_token, request_sha256, checkpoint, texts, "
    "EXISTS (SELECT 1 FROM job_reports WHERE job_reports.job = seq)";
// Of a statement that selects kJobColumns: its next row, none after the last, and all that are left.
[[nodiscard]] absl::StatusOr<std::optional<JobRow>> ReadJob(Statement& statement);
[[nodiscard]] absl::StatusOr<std::vector<JobRow>> ReadJobs(Statement& statement);

inline constexpr std::string_view kEntryColumns =
    "principal, kind, name, manifest, stored_bytes, architecture, source, report_json, report_markdown, job, created, "
    "summary_json";
[[nodiscard]] absl::StatusOr<std::vector<CatalogueEntry>> ReadEntries(Statement& statement);

inline constexpr std::string_view kUploadColumns =
    "id, principal, name, request_id, total_bytes, created, expires, commit_job";
[[nodiscard]] absl::StatusOr<std::vector<Upload>> ReadUploads(Statement& statement);

// The first of `rows`, or NOT_FOUND: "jobs/x: there is no such job here".
template <class Row>
[[nodiscard]] absl::StatusOr<Row> Only(std::vector<Row> rows, const absl::Status& missing) {
  if (rows.empty()) return missing;
  return std::move(rows.front());
}

}  // namespace gwq
