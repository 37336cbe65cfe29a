#include "server/worker/lease_link.h"

#include <grpcpp/grpcpp.h>

#include <chrono>

#include "core/base/status.h"

namespace gwq {
namespace {

// A commit carries the report, a heartbeat log lines: both stay far below.
constexpr int kMaxMessageBytes = 64 << 20;
constexpr int64_t kAnswerMillis = 10'000;

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // A worker has to find a restarted gwq-jobs before its lease runs out.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

void SetDeadline(grpc::ClientContext& context, int64_t millis) {
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(millis));
}

absl::Status FromGrpc(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

LeaseLink::LeaseLink(const std::string& jobs_address) : stub_(v1::WorkerService::NewStub(OpenChannel(jobs_address))) {}

absl::StatusOr<AcquiredJob> LeaseLink::Acquire(const WorkerIdentity& identity, int64_t wait_millis) {
  grpc::ClientContext context;
  SetDeadline(context, wait_millis + kAnswerMillis);
  v1::AcquireRequest request;
  request.set_worker(identity.worker);
  request.set_device(identity.device);
  request.set_memory_bytes(identity.memory_bytes);
  request.set_wait_millis(wait_millis);
  v1::AcquireResponse response;
  const grpc::Status status = stub_->Acquire(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return AcquiredJob{response.job(),           response.kind(),       response.spec_json(),
                     response.fencing_token(), response.ttl_millis(), response.attempt()};
}

absl::StatusOr<bool> LeaseLink::Heartbeat(const AcquiredJob& job, const WorkerProgress& progress,
                                          const std::vector<std::string>& log_lines, int64_t timeout_millis) {
  grpc::ClientContext context;
  SetDeadline(context, timeout_millis);
  v1::HeartbeatRequest request;
  request.set_job(job.id);
  request.set_fencing_token(job.fencing_token);
  request.set_phase(progress.phase);
  request.set_done(progress.done);
  request.set_total(progress.total);
  for (const std::string& line : log_lines) request.add_log_lines(line);
  v1::HeartbeatResponse response;
  const grpc::Status status = stub_->Heartbeat(&context, request, &response);
  if (!status.ok()) return FromGrpc(status);
  return response.cancel();
}

absl::Status LeaseLink::Commit(const AcquiredJob& job, const JobOutput& outcome, int64_t timeout_millis) {
  grpc::ClientContext context;
  SetDeadline(context, timeout_millis);
  v1::CommitRequest request;
  request.set_job(job.id);
  request.set_fencing_token(job.fencing_token);
  request.set_kind(outcome.kind);
  request.set_manifest_sha256(outcome.manifest.Hex());
  request.set_stored_bytes(outcome.stored_bytes);
  request.set_architecture(outcome.architecture);
  if (outcome.source.has_value()) request.set_source_sha256(outcome.source->Hex());
  request.set_report_json(outcome.report_json);
  request.set_report_markdown(outcome.report_markdown);
  v1::CommitResponse response;
  return FromGrpc(stub_->Commit(&context, request, &response));
}

absl::Status LeaseLink::Fail(const AcquiredJob& job, const absl::Status& error, bool retryable,
                             int64_t timeout_millis) {
  grpc::ClientContext context;
  SetDeadline(context, timeout_millis);
  v1::FailRequest request;
  request.set_job(job.id);
  request.set_fencing_token(job.fencing_token);
  request.set_code(static_cast<int>(error.code()));
  request.set_message(std::string(MessageOf(error)));
  const auto violations = FieldViolations(error);
  if (!violations.empty()) request.set_field(violations.front().field);
  request.set_retryable(retryable);
  v1::FailResponse response;
  return FromGrpc(stub_->Fail(&context, request, &response));
}

}  // namespace gwq
