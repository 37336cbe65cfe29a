// The worker's client of WorkerService.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gwq/v1/worker.grpc.pb.h"

namespace gwq {

// Thread-safe. Every call has a deadline and blocks.
class JobsClient {
 public:
  // `token`: empty if gwq-jobs uses no tokens.
  JobsClient(const std::string& address, std::string token);

  [[nodiscard]] absl::StatusOr<v1::AcquireResponse> Acquire(const v1::AcquireRequest& request);
  [[nodiscard]] absl::StatusOr<v1::HeartbeatResponse> Heartbeat(const v1::HeartbeatRequest& request);
  [[nodiscard]] absl::Status SaveCheckpoint(const v1::SaveCheckpointRequest& request);
  [[nodiscard]] absl::Status FindPass(const v1::FindPassRequest& request, v1::FindPassResponse& response);
  [[nodiscard]] absl::Status KeepPass(const v1::KeepPassRequest& request);
  [[nodiscard]] absl::Status PublishPart(const v1::PublishPartRequest& request);
  [[nodiscard]] absl::Status Commit(const v1::CommitRequest& request);
  [[nodiscard]] absl::Status Fail(const v1::FailRequest& request);

 private:
  void Prepare(grpc::ClientContext& context, int64_t deadline_millis) const;

  const std::string token_;
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
};

// Calls `call` until it answers something that does not pass by itself, as it does while the service restarts or is
// busy.
[[nodiscard]] absl::Status UntilAnswered(const std::function<absl::Status()>& call);

}  // namespace gwq
