// Runs one job of any kind: what a worker does between acquiring and committing. The only part of core/jobs that
// computes, and the only one that brings LibTorch in, so it is a library of its own.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

namespace gwq {

// What the job's commit publishes; its blobs and manifest are durable in the store already.
struct JobOutcome {
  std::string kind;  // "model" or "artifact"
  Digest manifest;
  uint64_t stored_bytes = 0;
  std::string architecture;
  std::optional<Digest> source;
  std::string report_json;
  std::string report_markdown;
};

// UNIMPLEMENTED naming the known kinds for one that is not in the table. Blocks for as long as the job takes;
// `progress` is told and asked from this thread and from threads of the computation.
[[nodiscard]] absl::StatusOr<JobOutcome> RunJob(std::string_view kind, std::string_view spec_json, BlobStore& store,
                                                Progress& progress);

}  // namespace gwq
