// The kinds of jobs: for each, how its spec is checked and what memory it will need. Runners stand in job_runners.h,
// which only the worker links; a test holds the two tables to the same kinds.
#pragma once

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
  // From the spec and the manifests it names: the worker's peak memory, evaluations included, and for a quantize job
  // what becomes of each module. INVALID_ARGUMENT and friends where the spec cannot be run. May read blobs: it runs on
  // an executor.
  std::function<absl::StatusOr<Plan>(BlobStore& store, std::string_view spec_json)> plan;
};

[[nodiscard]] const std::vector<JobKind>& JobKinds();
// Null for an unknown name.
[[nodiscard]] const JobKind* FindJobKind(std::string_view name);

// Whether another attempt could end differently: not for a fault of the input, not for a cancel.
[[nodiscard]] bool IsRetryable(const absl::Status& status);

}  // namespace gwq
