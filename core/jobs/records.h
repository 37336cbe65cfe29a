// What the catalogue holds. A name is unique per principal and kind; ids are opaque and never used again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "core/base/sha256.h"

namespace gwq {

// "models/{name}", "artifacts/{name}", "datasets/{name}" or "evaluations/{name}".
struct CatalogueEntry {
  std::string principal;
  std::string kind;  // "model", "artifact", "dataset" or "evaluation"
  std::string name;  // [a-z0-9][a-z0-9._-]{0,62}
  Digest manifest;
  uint64_t stored_bytes = 0;
  std::string architecture;
  std::optional<Digest> source;  // artifacts: the model's manifest; evaluations: what was measured
  std::string report_json;       // artifacts and evaluations
  std::string report_markdown;
  std::string summary_json;  // artifacts: the report's few figures (core/quant/report_summary.h); empty: none
  std::string job;           // id of the job that made it
  int64_t created_wall_millis = 0;
};

enum class JobState { kQueued, kRunning, kSucceeded, kFailed, kCancelled };
[[nodiscard]] std::string_view JobStateName(JobState state);

struct JobProgress {
  std::string phase;
  int64_t done = 0;
  int64_t total = 0;
  friend bool operator==(const JobProgress&, const JobProgress&) = default;
};

// What a job found out that made nothing: the report of an artifact that its quality contract refused.
struct JobReport {
  std::string json;
  std::string markdown;

  [[nodiscard]] bool empty() const { return json.empty(); }
};

struct JobError {
  int code = 0;  // absl::StatusCode
  std::string message;
  std::string field;  // the offending field where there is one
};

// The entry that a job makes.
struct JobProduct {
  std::string kind;  // "model", "artifact", "dataset" or "evaluation"
  std::string id;
};

// What a job's spec names by digest: garbage collection spares it while the job is live.
struct JobInputs {
  std::vector<Digest> manifests = {};  // with every blob that they name
  std::vector<Digest> blobs = {};

  // Of a field that holds a digest's hex digits, or is empty.
  void AddManifest(const std::string& hex) { Add(hex, manifests); }
  void AddBlob(const std::string& hex) { Add(hex, blobs); }
  friend bool operator==(const JobInputs&, const JobInputs&) = default;

 private:
  static void Add(const std::string& hex, std::vector<Digest>& to);
};

// [a-z0-9][a-z0-9._-]{0,62}, else INVALID_ARGUMENT at `field`.
[[nodiscard]] absl::Status CheckResourceId(std::string_view field, std::string_view id);

// A job fails when this many attempts in a row have ended without bringing it forward.
inline constexpr int kMaxAttempts = 3;

struct Job {
  std::string id;  // "jobs/{id}" on the wire
  std::string principal;
  std::string kind;             // name of a row of JobKinds()
  std::string spec_json;        // of the kind; its long texts cut if `texts` is set
  std::optional<Digest> texts;  // the blob of the spec's long texts (core/jobs/spec_texts.h)
  // What the spec names, as its kind says. Enqueue stores it; it is not read back.
  JobInputs inputs;
  std::string request_id;      // idempotency key, empty if none was given
  std::string request_sha256;  // of what was asked under that key; empty: spec_json stands for it
  uint64_t memory_bytes = 0;   // the plan's peak: what placement asks of a device
  uint64_t disk_bytes = 0;     // the plan's scratch disk: what Acquire asks of the disk
  JobState state = JobState::kQueued;
  JobProgress progress;
  bool cancel_requested = false;
  int attempt = 0;                  // 1 for the first run
  int max_attempts = kMaxAttempts;  // kMaxAttempts more than the last attempt that saved a checkpoint
  std::optional<JobError> error;
  std::string result_json;
  bool has_report = false;  // whether JobStore::Report has one of it
  std::string device;       // of the running attempt
  // What the last attempt that saved one left for the next; none once the job has ended.
  std::optional<Digest> checkpoint;
  int64_t created_wall_millis = 0, started_wall_millis = 0, finished_wall_millis = 0;
  uint64_t version = 0;  // grows with every change; watchers wait for the next one
};

struct JobLogLine {
  uint64_t index = 0;  // 0, 1, 2, ... within the job
  int64_t wall_millis = 0;
  std::string text;
};

// A worker's right to work on one attempt. The fencing token grows with every lease of the store: a write that carries
// an old one is refused.
struct Lease {
  Job job;
  uint64_t fencing_token = 0;
  int64_t ttl_millis = 0;
};

// What a job's commit makes visible, in the same transaction.
struct Publication {
  std::optional<CatalogueEntry> entry;
  std::string result_json;
};

}  // namespace gwq
