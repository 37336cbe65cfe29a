#include "server/worker/lease_checkpoints.h"

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<std::optional<Checkpoint>> LeaseCheckpoints::Load() {
  if (lease_.checkpoint_sha256().empty()) return std::nullopt;
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(lease_.checkpoint_sha256()));
  return ReadCheckpoint(blobs_, digest);
}

absl::Status LeaseCheckpoints::Save(const Checkpoint& checkpoint) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, StoreCheckpoint(blobs_, checkpoint));
  v1::SaveCheckpointRequest request;
  request.set_job(lease_.job());
  request.set_fencing_token(lease_.fencing_token());
  request.set_checkpoint_sha256(digest.Hex());
  request.set_replaced_sha256(saved_);
  GWQ_RETURN_IF_ERROR(UntilAnswered([&] { return client_.SaveCheckpoint(request); }));
  saved_ = digest.Hex();
  return absl::OkStatus();
}

}  // namespace gwq
