// The checkpoint of the leased job, in the blob store and in gwq-jobs.
#pragma once

#include "core/storage/blob_store.h"
#include "core/storage/checkpoint.h"
#include "server/worker/jobs_client.h"

namespace gwq {

class LeaseCheckpoints final : public CheckpointSlot {
 public:
  // All outlive the object. `lease` names the checkpoint that an earlier attempt saved, if one did.
  LeaseCheckpoints(BlobStore& blobs, JobsClient& client, const v1::AcquireResponse& lease)
      : blobs_(blobs), client_(client), lease_(lease) {}

  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load() override;
  // Waits while gwq-jobs restarts or is busy: the lease's heartbeats end the process if it is silent for too long.
  [[nodiscard]] absl::Status Save(const Checkpoint& checkpoint) override;

 private:
  BlobStore& blobs_;
  JobsClient& client_;
  const v1::AcquireResponse& lease_;
};

}  // namespace gwq
