#include "server/worker/lease_passes.h"

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<std::optional<Checkpoint>> LeasePasses::Load(const PassKey& key) {
  // A service that keeps none is not asked; nor is one of a version before.
  if (room() == 0) return std::nullopt;
  v1::FindPassRequest request;
  request.set_job(lease_.job());
  request.set_fencing_token(lease_.fencing_token());
  request.set_what_sha256(key.what.Hex());
  request.set_producer(key.producer);
  v1::FindPassResponse response;
  GWQ_RETURN_IF_ERROR(UntilAnswered([&] { return client_.FindPass(request, response); }));
  if (response.record_sha256().empty()) return std::nullopt;
  GWQ_ASSIGN_OR_RETURN(const Digest record, Digest::Parse(response.record_sha256()));
  return ReadCheckpoint(blobs_, record);
}

absl::Status LeasePasses::Save(const PassKey& key, const Checkpoint& found) {
  GWQ_ASSIGN_OR_RETURN(const Digest record, StoreCheckpoint(blobs_, found));
  v1::KeepPassRequest request;
  request.set_job(lease_.job());
  request.set_fencing_token(lease_.fencing_token());
  request.set_what_sha256(key.what.Hex());
  request.set_producer(key.producer);
  request.set_model_sha256(key.model.Hex());
  request.set_record_sha256(record.Hex());
  return UntilAnswered([&] { return client_.KeepPass(request); });
}

}  // namespace gwq
