// WorkerService: leases, heartbeats, results.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"
#include "core/quant/report_summary.h"
#include "core/storage/checkpoint.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/job_subscription.h"
#include "server/jobs/lease_table.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/waiting_offers.h"
#include "server/jobs/worker_contacts.h"

namespace gwq {
namespace {

constexpr int64_t kMaxWaitMillis = 60'000;

absl::Status Admit(const JobsState& state, const std::string& principal) {
  if (state.worker_principal.empty() || state.worker_principal == principal) return absl::OkStatus();
  return absl::PermissionDeniedError(
      fmt::format("only the principal '{}' may act as a worker", state.worker_principal));
}

// A job's name in this service is its id with or without "jobs/".
std::string JobId(const std::string& name) { return name.starts_with("jobs/") ? name.substr(5) : name; }

// Nothing is named whose blobs are not all there.
absl::Status CheckStored(std::string_view field, BlobStore& store, const std::vector<Digest>& blobs) {
  for (const Digest& blob : blobs) {
    const absl::Status stored = store.Stat(blob).status();
    if (!stored.ok()) return InvalidField(field, fmt::format("it names {}: {}", blob.Hex(), MessageOf(stored)));
  }
  return absl::OkStatus();
}

template <class Request, class Response>
class WorkerCall : public JobsCall<Request, Response> {
 public:
  using JobsCall<Request, Response>::JobsCall;

 protected:
  [[nodiscard]] virtual absl::Status Act() = 0;
  using JobsCall<Request, Response>::state_;

 private:
  absl::Status Run() final {
    GWQ_RETURN_IF_ERROR(Admit(state_, this->principal()));
    return Act();
  }
};

class AcquireHandler final : public WithState<JobsState&, UnaryHandler<v1::AcquireRequest, v1::AcquireResponse>> {
 public:
  AcquireHandler(JobsState& state, const CallEnvironment& environment, std::string_view method, ServerContext* context,
                 const v1::AcquireRequest* request, v1::AcquireResponse* response)
      : WithState(state, environment, method, context, request, response),
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
    const int64_t wait = std::clamp<int64_t>(request().wait_millis(), 0, kMaxWaitMillis);
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
    const auto lease = state_.jobs.Acquire(
        {worker_, request().device(), memory_bytes_, {}, state_.offers.MinBytesFor(memory_bytes_), RoomOnDisk(state_)});
    if (absl::IsNotFound(lease.status())) return;
    if (!lease.ok()) return End(lease.status());
    state_.leases.Set(worker_, {lease->job.id, lease->fencing_token});
    response().set_job("jobs/" + lease->job.id);
    response().set_kind(lease->job.kind);
    response().set_spec_json(lease->job.spec_json);
    response().set_fencing_token(lease->fencing_token);
    response().set_ttl_millis(lease->ttl_millis);
    response().set_attempt(lease->job.attempt);
    if (lease->job.texts.has_value()) response().set_texts_sha256(lease->job.texts->Hex());
    if (lease->job.checkpoint.has_value()) response().set_checkpoint_sha256(lease->job.checkpoint->Hex());
    Leave();
    End(absl::OkStatus());
  }

  // Others may have left a job to this device that it will not take.
  void Leave() {
    if (!waits_.exchange(false)) return;
    state_.offers.Leave(memory_bytes_);
    state_.watchers.Notify("");
  }

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

class SaveCheckpointHandler final : public WorkerCall<v1::SaveCheckpointRequest, v1::SaveCheckpointResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    const auto digest = Digest::Parse(request().checkpoint_sha256());
    if (!digest.ok()) return AsField(digest.status(), "checkpoint_sha256");
    const std::string id = JobId(request().job());
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.GetLeased(id, request().fencing_token()));
    GWQ_ASSIGN_OR_RETURN(const std::optional<Digest> replaced, Replaced(job));
    GWQ_ASSIGN_OR_RETURN(const std::vector<Digest> scratch, Save(id, *digest, replaced));
    // After the new one is durable. A call that is told again finds its own checkpoint there and removes nothing.
    if (replaced.has_value() && job.checkpoint == replaced && replaced != *digest) {
      RemoveScratch(state_.blobs, *replaced, scratch);
    }
    return absl::OkStatus();
  }

  // What the worker says that it replaces; the job's own if it says nothing.
  absl::StatusOr<std::optional<Digest>> Replaced(const Job& job) {
    if (!request().has_replaced_sha256()) return job.checkpoint;
    if (request().replaced_sha256().empty()) return std::nullopt;
    const auto parsed = Digest::Parse(request().replaced_sha256());
    if (!parsed.ok()) return AsField(parsed.status(), "replaced_sha256");
    return *parsed;
  }

  // Returns the scratch blobs that the new checkpoint names.
  absl::StatusOr<std::vector<Digest>> Save(const std::string& id, const Digest& digest,
                                           const std::optional<Digest>& replaced) {
    MutexLock reachable(state_.collection);
    auto checkpoint = ReadCheckpoint(state_.blobs, digest);
    if (absl::IsDataLoss(checkpoint.status())) {
      return InvalidField("checkpoint_sha256", MessageOf(checkpoint.status()));
    }
    GWQ_RETURN_IF_ERROR(checkpoint.status());
    GWQ_RETURN_IF_ERROR(CheckStored("checkpoint_sha256", state_.blobs, checkpoint->blobs));
    GWQ_RETURN_IF_ERROR(CheckStored("checkpoint_sha256", state_.blobs, checkpoint->scratch));
    GWQ_RETURN_IF_ERROR(state_.jobs.SaveCheckpoint(id, request().fencing_token(), digest, replaced));
    return std::move(checkpoint->scratch);
  }
};

class CommitHandler final : public WorkerCall<v1::CommitRequest, v1::CommitResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    const std::string id = JobId(request().job());
    Publication publication;
    // Before the lock: a report may have megabytes.
    const std::optional<ReportSummary> summary =
        request().kind() == "artifact" ? SummaryOfReport(request().report_json()) : std::nullopt;
    MutexLock reachable(state_.collection);
    const auto job = state_.jobs.GetLeased(id, request().fencing_token());
    if (job.ok()) {
      GWQ_ASSIGN_OR_RETURN(CatalogueEntry entry, EntryOf(*job));
      if (summary) entry.summary_json = SummaryJson(*summary);
      publication.result_json = ResultJson(entry);
      publication.entry = entry;
    } else if (!absl::IsAborted(job.status())) {
      return job.status();
    }
    // A commit that is told again finds its lease over; the store knows whether it was this one.
    GWQ_RETURN_IF_ERROR(state_.jobs.Commit(id, request().fencing_token(), publication));
    state_.leases.Drop(id);
    return absl::OkStatus();
  }

  absl::StatusOr<CatalogueEntry> EntryOf(const Job& job) {
    GWQ_ASSIGN_OR_RETURN(const JobKind* const kind, FindJobKind(job.kind));
    GWQ_ASSIGN_OR_RETURN(const JobProduct product, kind->product(job.spec_json));
    if (request().kind() != product.kind) {
      return InvalidField("kind", fmt::format("'{}' is not what a {} job makes", request().kind(), job.kind));
    }
    CatalogueEntry entry;
    entry.kind = product.kind;
    entry.name = product.id;
    const auto manifest = Digest::Parse(request().manifest_sha256());
    if (!manifest.ok()) return AsField(manifest.status(), "manifest_sha256");
    entry.manifest = *manifest;
    GWQ_RETURN_IF_ERROR(CheckManifestStored(entry.manifest));
    if (!request().source_sha256().empty()) {
      GWQ_ASSIGN_OR_RETURN(entry.source, Digest::Parse(request().source_sha256()));
    }
    entry.stored_bytes = request().stored_bytes();
    entry.architecture = request().architecture();
    entry.report_json = request().report_json();
    entry.report_markdown = request().report_markdown();
    return entry;
  }

  absl::Status CheckManifestStored(const Digest& digest) {
    GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(state_.blobs, digest, kMaxManifestBytes));
    GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
    return CheckStored("manifest_sha256", state_.blobs, manifest.Blobs());
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
    GWQ_RETURN_IF_ERROR(
        state_.jobs.Fail(id, request().fencing_token(), {request().code(), request().message(), request().field()},
                         request().retryable(), {request().report_json(), request().report_markdown()}));
    state_.leases.Drop(id);
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerUnaryReactor* WorkerService::Acquire(grpc::CallbackServerContext* context,
                                                 const v1::AcquireRequest* request, v1::AcquireResponse* response) {
  return Start<AcquireHandler>("WorkerService/Acquire", context, request, response);
}
grpc::ServerUnaryReactor* WorkerService::Heartbeat(grpc::CallbackServerContext* context,
                                                   const v1::HeartbeatRequest* request,
                                                   v1::HeartbeatResponse* response) {
  return Start<HeartbeatHandler>("WorkerService/Heartbeat", context, request, response);
}
grpc::ServerUnaryReactor* WorkerService::SaveCheckpoint(grpc::CallbackServerContext* context,
                                                        const v1::SaveCheckpointRequest* request,
                                                        v1::SaveCheckpointResponse* response) {
  return Start<SaveCheckpointHandler>("WorkerService/SaveCheckpoint", context, request, response);
}
grpc::ServerUnaryReactor* WorkerService::Commit(grpc::CallbackServerContext* context, const v1::CommitRequest* request,
                                                v1::CommitResponse* response) {
  return Start<CommitHandler>("WorkerService/Commit", context, request, response);
}
grpc::ServerUnaryReactor* WorkerService::Fail(grpc::CallbackServerContext* context, const v1::FailRequest* request,
                                              v1::FailResponse* response) {
  return Start<FailHandler>("WorkerService/Fail", context, request, response);
}

}  // namespace gwq
