// WorkerService: leases, heartbeats, results.
#include <fmt/format.h>
#include <prometheus/counter.h>

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
#include "server/jobs/handlers/worker_call.h"
#include "server/jobs/job_subscription.h"
#include "server/jobs/lease_table.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/waiting_offers.h"
#include "server/jobs/worker_contacts.h"

namespace gwq {
namespace {

constexpr int64_t kMaxWaitMillis = 60'000;

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
    if (const absl::Status admitted = AdmitWorker(state_, principal()); !admitted.ok()) return End(admitted);
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
    response().set_pass_room_bytes(PassRoom(lease->job));
    Leave();
    End(absl::OkStatus());
  }

  // Beside what the job itself may need of the disk.
  [[nodiscard]] uint64_t PassRoom(const Job& job) const {
    const uint64_t room = RoomOnDisk(state_);
    return std::min(state_.limits.pass_bytes, room > job.disk_bytes ? room - job.disk_bytes : 0);
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

// The entry of what a worker made, whose blobs are all stored.
absl::StatusOr<CatalogueEntry> EntryOf(const JobsState& state, const JobProduct& product,
                                       const v1::CommitRequest& made) {
  CatalogueEntry entry;
  entry.kind = product.kind;
  entry.name = product.id;
  const auto manifest = Digest::Parse(made.manifest_sha256());
  if (!manifest.ok()) return AsField(manifest.status(), "manifest_sha256");
  entry.manifest = *manifest;
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(state.blobs, entry.manifest, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest parsed, ParseManifest(json));
  GWQ_RETURN_IF_ERROR(CheckStored("manifest_sha256", state.blobs, parsed.Blobs()));
  if (!made.source_sha256().empty()) {
    GWQ_ASSIGN_OR_RETURN(entry.source, Digest::Parse(made.source_sha256()));
  }
  entry.stored_bytes = made.stored_bytes();
  entry.architecture = made.architecture();
  entry.report_json = made.report_json();
  entry.report_markdown = made.report_markdown();
  return entry;
}

// What a list of artifacts shows of a report; empty if there is none.
std::string SummaryOf(const v1::CommitRequest& made) {
  const auto summary = made.kind() == "artifact" ? SummaryOfReport(made.report_json()) : std::nullopt;
  return summary ? SummaryJson(*summary) : std::string();
}

class PublishPartHandler final : public WorkerCall<v1::PublishPartRequest, v1::PublishPartResponse> {
 public:
  using WorkerCall::WorkerCall;

 private:
  absl::Status Act() override {
    const v1::CommitRequest& made = request().made();
    const std::string id = JobId(made.job());
    // Before the lock: a report may have megabytes.
    const std::string summary = SummaryOf(made);
    MutexLock reachable(state_.collection);
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.GetLeased(id, made.fencing_token()));
    GWQ_ASSIGN_OR_RETURN(const JobKind* const kind, FindJobKind(job.kind));
    GWQ_ASSIGN_OR_RETURN(const std::vector<JobProduct> parts, kind->parts(job.spec_json));
    const auto part = std::ranges::find(parts, request().id(), &JobProduct::id);
    if (part == parts.end() || part->kind != made.kind()) {
      return InvalidField("id", fmt::format("the job's spec lists no {} '{}'", made.kind(), request().id()));
    }
    GWQ_ASSIGN_OR_RETURN(CatalogueEntry entry, EntryOf(state_, *part, made));
    entry.summary_json = summary;
    return state_.jobs.PublishPart(id, made.fencing_token(), entry);
  }
};

class CommitHandler final : public WorkerCall<v1::CommitRequest, v1::CommitResponse> {
 public:
  CommitHandler(JobsState& state, const CallEnvironment& environment, std::string_view method, ServerContext* context,
                const v1::CommitRequest* request, v1::CommitResponse* response)
      : WorkerCall(state, environment, method, context, request, response), metrics_(environment.metrics) {}

 private:
  absl::Status Act() override {
    const std::string id = JobId(request().job());
    Publication publication;
    // Before the lock: a report may have megabytes.
    const std::string summary = SummaryOf(request());
    MutexLock reachable(state_.collection);
    const auto job = state_.jobs.GetLeased(id, request().fencing_token());
    if (job.ok()) {
      GWQ_ASSIGN_OR_RETURN(CatalogueEntry entry, EntryOfJob(*job));
      entry.summary_json = summary;
      publication.result_json = ResultJson(entry);
      publication.entry = entry;
    } else if (!absl::IsAborted(job.status())) {
      return job.status();
    }
    // A commit that is told again finds its lease over; the store knows whether it was this one.
    GWQ_RETURN_IF_ERROR(state_.jobs.Commit(id, request().fencing_token(), publication));
    state_.leases.Drop(id);
    if (job.ok()) CountPasses();
    return absl::OkStatus();
  }

  absl::StatusOr<CatalogueEntry> EntryOfJob(const Job& job) {
    GWQ_ASSIGN_OR_RETURN(const JobKind* const kind, FindJobKind(job.kind));
    GWQ_ASSIGN_OR_RETURN(const JobProduct product, kind->product(job.spec_json));
    if (request().kind() == product.kind) return EntryOf(state_, product, request());
    return InvalidField("kind", fmt::format("'{}' is not what a {} job makes", request().kind(), job.kind));
  }

  void CountPasses() {
    for (const auto& [result, count] :
         {std::pair("run", request().passes_run()), {"reused", request().passes_reused()}}) {
      if (count <= 0) continue;
      metrics_
          .Counter("gwq_gradient_passes_total",
                   "Gradient passes of quantizations that succeeded, by how they were had.", {{"result", result}})
          .Increment(count);
    }
  }

  Metrics& metrics_;
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
grpc::ServerUnaryReactor* WorkerService::PublishPart(grpc::CallbackServerContext* context,
                                                     const v1::PublishPartRequest* request,
                                                     v1::PublishPartResponse* response) {
  return Start<PublishPartHandler>("WorkerService/PublishPart", context, request, response);
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
