// The checkpoint of the leased job, in the blob store and in gwq-jobs.
#pragma once

#include <string>

#include "core/storage/blob_store.h"
#include "core/storage/checkpoint.h"
#include "server/worker/jobs_client.h"

namespace gwq {

class LeaseCheckpoints final : public CheckpointSlot {
 public:
  // All outlive the object. `lease` names the checkpoint that an earlier attempt saved, if one did.
  LeaseCheckpoints(BlobStore& blobs, JobsClient& client, const v1::AcquireResponse& lease)
      : blobs_(blobs), client_(client), lease_(lease), saved_(lease.checkpoint_sha256()) {}

  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load() override;
  // Waits while gwq-jobs restarts or is busy: the lease's heartbeats end the process if it is silent for too long.
  [[nodiscard]] absl::Status Save(const Checkpoint& checkpoint) override;

 private:
  BlobStore& blobs_;
  JobsClient& client_;
  const v1::AcquireResponse& lease_;
  std::string saved_;  // the job's checkpoint, in hexadecimal; empty: none
};

}  // namespace gwq
