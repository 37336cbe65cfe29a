// The kinds of jobs: for each, how its spec is checked and what memory it will need. Runners stand in job_runners.h,
// which only the worker links; a test holds the two tables to the same kinds.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/quant/plan.h"
#include "core/storage/blob_store.h"

namespace gwq {

struct JobKind {
  std::string_view name;
  // Peak memory of a worker in bytes, from the spec and the manifests it names; INVALID_ARGUMENT and friends where the
  // spec cannot be run. May read blobs: it runs on an executor.
  std::function<absl::StatusOr<uint64_t>(BlobStore& store, std::string_view spec_json)> plan;
};

[[nodiscard]] const std::vector<JobKind>& JobKinds();
// Null for an unknown name.
[[nodiscard]] const JobKind* FindJobKind(std::string_view name);

// Whether another attempt could end differently: not for a fault of the input, not for a cancel.
[[nodiscard]] bool IsRetryable(const absl::Status& status);

// The plan of a quantize job's recipe on the stored model `source`.
[[nodiscard]] absl::StatusOr<Plan> PlanStoredModel(BlobStore& store, const Digest& source, const Recipe& recipe);

}  // namespace gwq
