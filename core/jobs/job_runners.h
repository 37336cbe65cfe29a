// What a worker does for each kind of job. Links LibTorch: never in gwq-jobs.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

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
};

struct JobRunner {
  std::string_view kind;
  std::function<absl::StatusOr<JobOutput>(BlobStore& store, std::string_view spec_json, Progress& progress)> run;
};

[[nodiscard]] const std::vector<JobRunner>& JobRunners();

}  // namespace gwq
