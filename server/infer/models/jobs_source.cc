#include "server/infer/models/jobs_source.h"

#include <fmt/format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <utility>

#include "core/base/status.h"
#include "gwq/v1/artifacts.grpc.pb.h"

namespace gwq {
namespace {

constexpr std::chrono::seconds kCallTime{10};
// Of a call that has something to fall back on.
constexpr std::chrono::seconds kShortCallTime{2};
// Longest time between attempts to connect: the calls that do not wait fail meanwhile, though gwq-jobs may be back.
constexpr int kReconnectMillis = 1000;

std::shared_ptr<grpc::Channel> OpenChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kReconnectMillis);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

std::chrono::seconds TimeOf(OnUnavailable on_unavailable) {
  return on_unavailable == OnUnavailable::kWait ? kCallTime : kShortCallTime;
}

class JobsSource final : public ModelSource {
 public:
  JobsSource(const JobsSourceOptions& options, std::string holder)
      : options_(options),
        holder_(std::move(holder)),
        stub_(v1::ArtifactService::NewStub(OpenChannel(options.address))) {}

  absl::StatusOr<ResolvedModel> Resolve(const Caller& caller, const std::string& name,
                                        OnUnavailable on_unavailable) override {
    v1::ResolveRequest request;
    request.set_name(name);
    request.set_holder(HolderOf(caller));
    request.set_hold_millis(options_.hold_millis);
    v1::ResolveResponse response;
    grpc::ClientContext context;
    Prepare(caller, on_unavailable, context);
    GWQ_RETURN_IF_ERROR(ToStatus(stub_->Resolve(&context, request, &response), on_unavailable));
    ResolvedModel resolved;
    resolved.name = response.name();
    GWQ_ASSIGN_OR_RETURN(resolved.digest, Digest::Parse(response.digest()));
    resolved.blob_root = options_.blob_root.empty() ? response.blob_root() : options_.blob_root;
    return resolved;
  }

  absl::Status Release(const Caller& caller, const Digest& digest) override {
    v1::ReleaseHoldRequest request;
    request.set_digest(digest.Hex());
    request.set_holder(HolderOf(caller));
    google::protobuf::Empty response;
    grpc::ClientContext context;
    Prepare(caller, OnUnavailable::kWait, context);
    return ToStatus(stub_->ReleaseHold(&context, request, &response), OnUnavailable::kWait);
  }

  int64_t hold_millis() const override { return options_.hold_millis; }

 private:
  // A gwq-jobs without tokens has one principal for all callers: one's release must not end another's hold there.
  [[nodiscard]] std::string HolderOf(const Caller& caller) const {
    if (caller.authorization.empty()) return holder_;
    return fmt::format("{}-{}", holder_, Sha256Of(caller.principal).Hex().substr(0, 16));
  }
  void Prepare(const Caller& caller, OnUnavailable on_unavailable, grpc::ClientContext& context) const {
    context.set_deadline(std::chrono::system_clock::now() + TimeOf(on_unavailable));
    context.set_wait_for_ready(on_unavailable == OnUnavailable::kWait);
    if (!caller.authorization.empty()) {
      context.AddMetadata("authorization", caller.authorization);
    } else if (!options_.token.empty()) {
      context.AddMetadata("authorization", "Bearer " + options_.token);
    }
  }
  absl::Status ToStatus(const grpc::Status& status, OnUnavailable on_unavailable) const {
    if (status.ok()) return absl::OkStatus();
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return absl::UnavailableError(
          fmt::format("gwq-jobs at {} did not answer within {} s; is it running, and is "
                      "--jobs its address?",
                      options_.address, TimeOf(on_unavailable).count()));
    }
    const bool unknown = status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
    return absl::Status(
        static_cast<absl::StatusCode>(status.error_code()),
        fmt::format("gwq-jobs at {}: {}{}", options_.address, status.error_message(),
                    unknown ? "; give both services the same --tokens, or gwq-infer a --jobs-token" : ""));
  }

  const JobsSourceOptions options_;
  const std::string holder_;
  const std::unique_ptr<v1::ArtifactService::Stub> stub_;
};

}  // namespace

std::unique_ptr<ModelSource> MakeJobsSource(const JobsSourceOptions& options, const std::string& holder) {
  return std::make_unique<JobsSource>(options, holder);
}

}  // namespace gwq
