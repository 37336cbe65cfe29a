// What runs a job of one kind: its input and its output. The table of runners is in core/jobs/runners.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/quant/pass_counts.h"
#include "core/storage/blob_store.h"
#include "core/storage/checkpoint.h"
#include "core/storage/pass_cache.h"

namespace gwq {

// What a run made; everything it names is durable in the store.
struct JobOutput {
  std::string kind;  // "model", "artifact", "dataset" or "evaluation"
  Digest manifest;
  uint64_t stored_bytes = 0;
  std::string architecture;
  std::optional<Digest> source;  // of an artifact: the model's manifest; of an evaluation: what was measured
  std::string report_json;
  std::string report_markdown;
  PassCounts passes = {};  // gradient passes of a quantization
  // Not OK: what was made is not to be published. The job fails with this error and keeps the report.
  absl::Status verdict;
};

// What one attempt works with. All of it outlives the run.
struct JobContext {
  BlobStore& store;
  std::string_view spec_json;  // whole, with its long texts
  Progress& progress;
  // Of the job: what an earlier attempt saved, on whatever worker, is found here.
  CheckpointSlot& checkpoints;
  // Of the job's principal: gradient passes of earlier jobs.
  PassCache& passes;
  // Publishes one of the spec's Parts() under its id, in place of an entry of that name. Durable on OK.
  std::function<absl::Status(const std::string& id, const JobOutput& part)> publish;
};

// Runs a job of one kind. Each kind specializes it, in core/jobs/runners if that links LibTorch, else beside its spec
// in core/jobs/kinds.
template <class Spec>
[[nodiscard]] absl::StatusOr<JobOutput> RunJob(const Spec& spec, const JobContext& context);

// The output that a stored manifest describes, without a report.
[[nodiscard]] absl::StatusOr<JobOutput> OutputOf(BlobStore& store, const Digest& manifest);

}  // namespace gwq
