// WorkerService: leases, heartbeats, results.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>

#include "core/base/status.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/spec/job_specs.h"
#include "server/common/handler.h"
#include "server/jobs/job_subscription.h"
#include "server/jobs/lease_table.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/services.h"
#include "server/jobs/waiting_offers.h"
#include "server/jobs/worker_contacts.h"

namespace gwq {
namespace {

constexpr int64_t kMostWaitMillis = 60'000;

absl::Status Admit(const JobsState& state, const std::string& principal) {
  if (state.worker_principal.empty() || state.worker_principal == principal) return absl::OkStatus();
  return absl::PermissionDeniedError(
      fmt::format("only the principal '{}' may act as a worker", state.worker_principal));
}

// A job's name in this service is its id with or without "jobs/".
std::string JobId(const std::string& name) { return name.starts_with("jobs/") ? name.substr(5) : name; }

template <class Request, class Response>
class WorkerCall : public BlockingHandler<Request, Response> {
 public:
  WorkerCall(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
             const Request* request, Response* response, JobsState& state)
      : BlockingHandler<Request, Response>(environment, method, context, request, response), state_(state) {}

 protected:
  [[nodiscard]] virtual absl::Status Act() = 0;
  JobsState& state_;

 private:
  absl::Status Run() final {
    GWQ_RETURN_IF_ERROR(Admit(state_, this->principal()));
    return Act();
  }
};

class AcquireHandler final : public UnaryHandler<v1::AcquireRequest, v1::AcquireResponse> {
 public:
  AcquireHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
                 const v1::AcquireRequest* request, v1::AcquireResponse* response, JobsState& state)
      : UnaryHandler(environment, method, context, request, response),
        state_(state),
        worker_(request->worker()),
        memory_bytes_(request->memory_bytes()),
        subscription_(state.watchers) {
    // Also where the call is refused before it starts.
    state_.contacts.AsksForJob(worker_);
  }
  ~AcquireHandler() override {
    state_.timers.Cancel(timer_);
    Leave();
    state_.contacts.HasAsked(worker_);
  }

 private:
  void Start() override {
    if (const absl::Status admitted = Admit(state_, principal()); !admitted.ok()) return End(admitted);
    if (worker_.empty()) return End(InvalidField("worker", "empty; give a name unique to the process"));
    const int64_t wait = std::clamp<int64_t>(request().wait_millis(), 0, kMostWaitMillis);
    state_.offers.Join(memory_bytes_);
    waits_ = true;
    // From here on Try may run on another thread, and leave.
    subscription_.Start("", shared_from_this(), [this] { Try(); });
    Try();  // before the timer: a wait of 0 asks once
    timer_ = state_.timers.After(wait, [weak = weak_from_this()] {
      if (const std::shared_ptr<Call> call = weak.lock()) call->End(absl::OkStatus());
    });
  }

  void Try() {
    MutexLock lock(mutex_);
    if (ended() || cancelled()) return;
    const auto lease =
        state_.jobs.Acquire({worker_, request().device(), memory_bytes_, {}, state_.offers.LeastFor(memory_bytes_)});
    if (absl::IsNotFound(lease.status())) return;
    if (!lease.ok()) return End(lease.status());
    state_.leases.Set(worker_, {lease->job.id, lease->fencing_token});
    response().set_job("jobs/" + lease->job.id);
    response().set_kind(lease->job.kind);
    response().set_spec_json(lease->job.spec_json);
    response().set_fencing_token(lease->fencing_token);
    response().set_ttl_millis(lease->ttl_millis);
    response().set_attempt(lease->job.attempt);
    Leave();
    End(absl::OkStatus());
  }

  // Others may have left a job to this device that it will not take.
  void Leave() {
    if (!waits_.exchange(false)) return;
    state_.offers.Leave(memory_bytes_);
    state_.watchers.Notify("");
  }

  JobsState& state_;
  // Copies: the timer may hold the handler a little longer than gRPC holds the request.
  const std::string worker_;
  const uint64_t memory_bytes_;
  JobSubscription subscription_;
  std::atomic<bool> waits_{false};
  uint64_t timer_ = 0;
  Mutex mutex_;
};

class HeartbeatHandler final : public WorkerCall<v1::HeartbeatRequest, v1::HeartbeatResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    const JobProgress progress{request().phase(), request().done(), request().total()};
    const std::vector<std::string> lines(request().log_lines().begin(), request().log_lines().end());
    GWQ_ASSIGN_OR_RETURN(const bool cancel,
                         state_.jobs.Renew(JobId(request().job()), request().fencing_token(), progress, lines));
    response().set_cancel(cancel);
    return absl::OkStatus();
  }
};

class CommitHandler final : public WorkerCall<v1::CommitRequest, v1::CommitResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    const std::string id = JobId(request().job());
    Publication publication;
    // A commit that is told again finds no live job; the store knows whether it was this one.
    MutexLock reachable(state_.collection);
    GWQ_ASSIGN_OR_RETURN(const std::vector<Job> live, state_.jobs.LiveJobs());
    const auto job = std::ranges::find(live, id, &Job::id);
    if (job != live.end()) {
      GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, EntryOf(*job));
      publication.result_json = ResultJson(entry);
      publication.entry = entry;
    }
    GWQ_RETURN_IF_ERROR(state_.jobs.Commit(id, request().fencing_token(), publication));
    state_.leases.Drop(id);
    return absl::OkStatus();
  }

  absl::StatusOr<CatalogueEntry> EntryOf(const Job& job) {
    GWQ_ASSIGN_OR_RETURN(const JobProduct product, ProductOf(job.kind, job.spec_json));
    if (request().kind() != product.kind) {
      return InvalidField("kind", fmt::format("'{}' is not what a {} job makes", request().kind(), job.kind));
    }
    CatalogueEntry entry;
    entry.kind = product.kind;
    entry.name = product.id;
    const auto manifest = Digest::Parse(request().manifest_sha256());
    if (!manifest.ok()) return InvalidField("manifest_sha256", MessageOf(manifest.status()));
    entry.manifest = *manifest;
    GWQ_RETURN_IF_ERROR(CheckStored(entry.manifest));
    if (!request().source_sha256().empty()) {
      GWQ_ASSIGN_OR_RETURN(entry.source, Digest::Parse(request().source_sha256()));
    }
    entry.stored_bytes = request().stored_bytes();
    entry.architecture = request().architecture();
    entry.report_json = request().report_json();
    entry.report_markdown = request().report_markdown();
    return entry;
  }

  // Nothing is named whose blobs are not all there.
  absl::Status CheckStored(const Digest& digest) {
    GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(state_.blobs, digest, kMaxManifestBytes));
    GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
    for (const Digest& blob : manifest.Blobs()) {
      const absl::Status stored = state_.blobs.Stat(blob).status();
      if (!stored.ok())
        return InvalidField("manifest_sha256", fmt::format("it names {}: {}", blob.Hex(), MessageOf(stored)));
    }
    return absl::OkStatus();
  }
};

class FailHandler final : public WorkerCall<v1::FailRequest, v1::FailResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    if (request().code() <= 0 || request().code() > 16) {
      return InvalidField("code", fmt::format("{} is not an error code of google.rpc.Code", request().code()));
    }
    const std::string id = JobId(request().job());
    GWQ_RETURN_IF_ERROR(state_.jobs.Fail(id, request().fencing_token(),
                                         {request().code(), request().message(), request().field()},
                                         request().retryable()));
    state_.leases.Drop(id);
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerUnaryReactor* WorkerService::Acquire(grpc::CallbackServerContext* context,
                                                 const v1::AcquireRequest* request, v1::AcquireResponse* response) {
  return StartCall<AcquireHandler>(environment_, "WorkerService/Acquire", context, request, response, state_);
}
grpc::ServerUnaryReactor* WorkerService::Heartbeat(grpc::CallbackServerContext* context,
                                                   const v1::HeartbeatRequest* request,
                                                   v1::HeartbeatResponse* response) {
  return StartCall<HeartbeatHandler>(environment_, "WorkerService/Heartbeat", context, request, response, state_);
}
grpc::ServerUnaryReactor* WorkerService::Commit(grpc::CallbackServerContext* context, const v1::CommitRequest* request,
                                                v1::CommitResponse* response) {
  return StartCall<CommitHandler>(environment_, "WorkerService/Commit", context, request, response, state_);
}
grpc::ServerUnaryReactor* WorkerService::Fail(grpc::CallbackServerContext* context, const v1::FailRequest* request,
                                              v1::FailResponse* response) {
  return StartCall<FailHandler>(environment_, "WorkerService/Fail", context, request, response, state_);
}

}  // namespace gwq
