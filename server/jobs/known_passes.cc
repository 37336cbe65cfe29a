#include "server/jobs/known_passes.h"

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<std::optional<Checkpoint>> KnownPasses::Load(const PassKey& key) {
  GWQ_ASSIGN_OR_RETURN(const std::optional<PassRecord> found, state_.passes.FindPass(principal_, key));
  if (!found) return std::nullopt;
  return ReadCheckpoint(state_.blobs, found->record);
}

absl::Status KnownPasses::Save(const PassKey& /*key*/, const Checkpoint& /*found*/) { return absl::OkStatus(); }

}  // namespace gwq
