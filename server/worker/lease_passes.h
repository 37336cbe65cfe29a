// Gradient passes that earlier jobs of the leased job's principal kept.
#pragma once

#include "core/storage/blob_store.h"
#include "core/storage/pass_cache.h"
#include "server/worker/jobs_client.h"

namespace gwq {

class LeasePasses final : public PassCache {
 public:
  // All outlive the object.
  LeasePasses(BlobStore& blobs, JobsClient& client, const v1::AcquireResponse& lease)
      : blobs_(blobs), client_(client), lease_(lease) {}

  [[nodiscard]] uint64_t room() const override { return lease_.pass_room_bytes(); }
  // Both wait while gwq-jobs restarts or is busy, as LeaseCheckpoints does.
  [[nodiscard]] absl::StatusOr<std::optional<Checkpoint>> Load(const PassKey& key) override;
  [[nodiscard]] absl::Status Save(const PassKey& key, const Checkpoint& found) override;

 private:
  BlobStore& blobs_;
  JobsClient& client_;
  const v1::AcquireResponse& lease_;
};

}  // namespace gwq
