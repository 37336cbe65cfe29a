// The table of the kinds of jobs. What runs them is in core/jobs/runners, which only the worker links; how the API
// names them is in server/jobs/kinds.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/jobs/records.h"
#include "core/quant/plan.h"
#include "core/storage/blob_store.h"
#include "core/storage/pass_cache.h"

namespace gwq {

// The JobSpec functions of one kind, over a spec's JSON. Each is INVALID_ARGUMENT for a spec that cannot be read.
struct JobKind {
  std::string_view name;
  std::function<absl::StatusOr<JobProduct>(std::string_view spec_json)> product;
  std::function<absl::StatusOr<JobInputs>(std::string_view spec_json)> inputs;
  // The entries that the job publishes on its way; most kinds have none.
  std::function<absl::StatusOr<std::vector<JobProduct>>(std::string_view spec_json)> parts;
  std::function<absl::StatusOr<Plan>(BlobStore& store, PassCache& passes, std::string_view spec_json)> plan;
  std::function<std::string()> example;
};

[[nodiscard]] const std::vector<JobKind>& JobKinds();
// UNIMPLEMENTED, naming the kinds that there are, for an unknown name.
[[nodiscard]] absl::StatusOr<const JobKind*> FindJobKind(std::string_view name);

// Whether another attempt could end differently: not for a fault of the input, not for a cancel.
[[nodiscard]] bool IsRetryable(const absl::Status& status);

}  // namespace gwq
