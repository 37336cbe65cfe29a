#include "server/worker/jobs_client.h"

#include <fmt/format.h>
#include <grpcpp/create_channel.h>

#include <chrono>
#include <string_view>
#include <thread>

namespace gwq {
namespace {

constexpr int64_t kCallMillis = 10'000;
// Past this the check of a manifest or a checkpoint on the other side is not the cause.
constexpr int64_t kCommitMillis = 120'000;

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

// gRPC answers a message over the service's limit with RESOURCE_EXHAUSTED, as a busy service does; sent again it would
// be refused again, for ever.
absl::Status TooLargeIsFinal(const absl::Status& status, size_t bytes) {
  const bool too_large =
      absl::IsResourceExhausted(status) && status.message().find("larger than max") != std::string_view::npos;
  if (!too_large) return status;
  return absl::InvalidArgumentError(fmt::format(
      "the result has {} bytes with its report, which gwq-jobs does not take; shorten the texts of the job, "
      "or raise gwq-jobs --max-message-mib",
      bytes));
}

}  // namespace

JobsClient::JobsClient(const std::string& address, std::string token)
    : token_(std::move(token)),
      stub_(v1::WorkerService::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {}

void JobsClient::Prepare(grpc::ClientContext& context, int64_t deadline_millis) const {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(deadline_millis));
  if (!token_.empty()) context.AddMetadata("authorization", "Bearer " + token_);
}

absl::StatusOr<v1::AcquireResponse> JobsClient::Acquire(const v1::AcquireRequest& request) {
  grpc::ClientContext context;
  Prepare(context, request.wait_millis() + kCallMillis);
  v1::AcquireResponse response;
  const grpc::Status status = stub_->Acquire(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

absl::StatusOr<v1::HeartbeatResponse> JobsClient::Heartbeat(const v1::HeartbeatRequest& request) {
  grpc::ClientContext context;
  Prepare(context, kCallMillis);
  v1::HeartbeatResponse response;
  const grpc::Status status = stub_->Heartbeat(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response;
}

absl::Status JobsClient::SaveCheckpoint(const v1::SaveCheckpointRequest& request) {
  grpc::ClientContext context;
  Prepare(context, kCommitMillis);
  v1::SaveCheckpointResponse response;
  return FromGrpc(stub_->SaveCheckpoint(&context, request, &response));
}

absl::Status JobsClient::FindPass(const v1::FindPassRequest& request, v1::FindPassResponse& response) {
  grpc::ClientContext context;
  Prepare(context, kCallMillis);
  return FromGrpc(stub_->FindPass(&context, request, &response));
}

absl::Status JobsClient::KeepPass(const v1::KeepPassRequest& request) {
  grpc::ClientContext context;
  Prepare(context, kCommitMillis);
  v1::KeepPassResponse response;
  return FromGrpc(stub_->KeepPass(&context, request, &response));
}

absl::Status JobsClient::PublishPart(const v1::PublishPartRequest& request) {
  grpc::ClientContext context;
  Prepare(context, kCommitMillis);
  v1::PublishPartResponse response;
  return TooLargeIsFinal(FromGrpc(stub_->PublishPart(&context, request, &response)), request.ByteSizeLong());
}

absl::Status JobsClient::Commit(const v1::CommitRequest& request) {
  grpc::ClientContext context;
  Prepare(context, kCommitMillis);
  v1::CommitResponse response;
  return TooLargeIsFinal(FromGrpc(stub_->Commit(&context, request, &response)), request.ByteSizeLong());
}

absl::Status JobsClient::Fail(const v1::FailRequest& request) {
  grpc::ClientContext context;
  Prepare(context, kCallMillis);
  v1::FailResponse response;
  return TooLargeIsFinal(FromGrpc(stub_->Fail(&context, request, &response)), request.ByteSizeLong());
}

absl::Status UntilAnswered(const std::function<absl::Status()>& call) {
  for (;;) {
    absl::Status answer = call();
    const bool passes =
        absl::IsUnavailable(answer) || absl::IsDeadlineExceeded(answer) || absl::IsResourceExhausted(answer);
    if (!passes) return answer;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

}  // namespace gwq
