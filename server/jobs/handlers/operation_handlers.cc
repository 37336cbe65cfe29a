// google.longrunning.Operations: jobs read as operations.
#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/job_subscription.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

namespace lro = google::longrunning;
using google::protobuf::Empty;

// What a WaitOperation without a timeout waits: the answer says that the operation is not done.
constexpr int64_t kDefaultWaitMillis = 60'000, kMaxWaitMillis = 3'600'000;

class GetOperationHandler final : public JobsCall<lro::GetOperationRequest, lro::Operation> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "operations", request().name()));
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.Get(principal(), id));
    response() = OperationOf(job);
    return absl::OkStatus();
  }
};

class ListOperationsHandler final : public JobsCall<lro::ListOperationsRequest, lro::ListOperationsResponse> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    if (!request().filter().empty()) return InvalidField("filter", "filters are not supported; leave it empty");
    GWQ_ASSIGN_OR_RETURN(const int size, PageSize(request().page_size(), 50, 1000));
    GWQ_ASSIGN_OR_RETURN(const JobStore::JobPage page, state_.jobs.List(principal(), size, request().page_token()));
    for (const Job& job : page.jobs) *response().add_operations() = OperationOf(job);
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class CancelOperationHandler final : public JobsCall<lro::CancelOperationRequest, Empty> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "operations", request().name()));
    return state_.jobs.Cancel(principal(), id).status();
  }
};

class DeleteOperationHandler final : public JobsCall<lro::DeleteOperationRequest, Empty> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "operations", request().name()));
    GWQ_RETURN_IF_ERROR(state_.jobs.Get(principal(), id).status());
    return absl::UnimplementedError(
        "operations are not deleted on request: a job is the record of how a model or artifact was made, and others go "
        "--keep-jobs-days after their end");
  }
};

class WaitOperationHandler final
    : public WithState<JobsState&, UnaryHandler<lro::WaitOperationRequest, lro::Operation>> {
 public:
  WaitOperationHandler(JobsState& state, const CallEnvironment& environment, std::string_view method,
                       ServerContext* context, const lro::WaitOperationRequest* request, lro::Operation* response)
      : WithState(state, environment, method, context, request, response), subscription_(state.watchers) {}
  ~WaitOperationHandler() override { state_.timers.Cancel(timer_); }

 private:
  void Start() override {
    auto id = IdOf("name", "operations", request().name());
    if (!id.ok()) return End(id.status());
    id_ = *id;
    int64_t wait = kDefaultWaitMillis;
    if (request().has_timeout()) {
      const int64_t seconds = std::clamp<int64_t>(request().timeout().seconds(), 0, kMaxWaitMillis / 1000);
      wait = std::clamp<int64_t>(seconds * 1000 + request().timeout().nanos() / 1'000'000, 0, kMaxWaitMillis);
    }
    subscription_.Start(id_, shared_from_this(), [this] { Look(/*last=*/false); });
    timer_ = state_.timers.After(wait, [weak = weak_from_this(), this] {
      if (const std::shared_ptr<Call> call = weak.lock()) call->Post([this] { Look(/*last=*/true); });
    });
    Look(/*last=*/false);
  }

  void Look(bool last) {
    MutexLock lock(mutex_);
    if (ended()) return;
    const auto job = state_.jobs.Get(principal(), id_);
    if (!job.ok()) return End(job.status());
    if (IsLive(job->state) && !last) return;
    response() = OperationOf(*job);
    End(absl::OkStatus());
  }

  JobSubscription subscription_;
  std::string id_;
  uint64_t timer_ = 0;
  Mutex mutex_;
};

}  // namespace

grpc::ServerUnaryReactor* OperationService::ListOperations(grpc::CallbackServerContext* context,
                                                           const lro::ListOperationsRequest* request,
                                                           lro::ListOperationsResponse* response) {
  return Start<ListOperationsHandler>("Operations/ListOperations", context, request, response);
}
grpc::ServerUnaryReactor* OperationService::GetOperation(grpc::CallbackServerContext* context,
                                                         const lro::GetOperationRequest* request,
                                                         lro::Operation* response) {
  return Start<GetOperationHandler>("Operations/GetOperation", context, request, response);
}
grpc::ServerUnaryReactor* OperationService::DeleteOperation(grpc::CallbackServerContext* context,
                                                            const lro::DeleteOperationRequest* request,
                                                            Empty* response) {
  return Start<DeleteOperationHandler>("Operations/DeleteOperation", context, request, response);
}
grpc::ServerUnaryReactor* OperationService::CancelOperation(grpc::CallbackServerContext* context,
                                                            const lro::CancelOperationRequest* request,
                                                            Empty* response) {
  return Start<CancelOperationHandler>("Operations/CancelOperation", context, request, response);
}
grpc::ServerUnaryReactor* OperationService::WaitOperation(grpc::CallbackServerContext* context,
                                                          const lro::WaitOperationRequest* request,
                                                          lro::Operation* response) {
  return Start<WaitOperationHandler>("Operations/WaitOperation", context, request, response);
}

}  // namespace gwq
