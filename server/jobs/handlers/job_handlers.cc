// Creating, showing and cancelling jobs; watching them stands in watch_handlers.cc.
#include <optional>

#include "core/base/sha256.h"
#include "core/base/status.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/kinds/spec_proto.h"
#include "server/jobs/recipe_proto.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

class CreateJobHandler final : public JobsCall<v1::CreateJobRequest, v1::CreateJobResponse> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_RETURN_IF_ERROR(CheckRequestId(request().request_id()));
    MutexLock reachable(state_.collection);
    if (!request().validate_only()) {
      // Before everything else: what the request names may have changed since, its job has not.
      GWQ_ASSIGN_OR_RETURN(const std::optional<Job> made,
                           state_.jobs.FindByRequest(principal(), RequestKey(), RequestSha256()));
      if (made.has_value()) {
        *response().mutable_job() = JobToProto(WithTexts(state_, *made));
        return absl::OkStatus();
      }
    }
    GWQ_ASSIGN_OR_RETURN(const SpecTranslation* const translation, TranslationOf(request()));
    GWQ_ASSIGN_OR_RETURN(std::string spec, translation->from_proto(CallerNames(state_, principal()), request()));
    return PlanOrEnqueue(translation->kind, std::move(spec));
  }

  absl::Status PlanOrEnqueue(std::string_view kind, std::string spec_json) {
    Job draft = NewJob(principal(), kind, std::move(spec_json), RequestKey());
    if (request().validate_only()) {
      GWQ_ASSIGN_OR_RETURN(const Plan plan, PlanJob(state_, draft));
      *response().mutable_plan() = PlanToProto(plan);
      return absl::OkStatus();
    }
    draft.request_sha256 = RequestSha256();
    GWQ_ASSIGN_OR_RETURN(const Job job, PlanAndEnqueue(state_, std::move(draft)));
    *response().mutable_job() = JobToProto(WithTexts(state_, job));
    return absl::OkStatus();
  }

  // The prefix keeps callers' keys apart from the service's own.
  std::string RequestKey() const {
    return request().request_id().empty() ? std::string() : "create/" + request().request_id();
  }

  // Of what was asked, in the caller's words: names, not what stands behind them.
  std::string RequestSha256() const {
    v1::CreateJobRequest asked = request();
    asked.clear_request_id();
    return Sha256Of(asked.SerializeAsString()).Hex();
  }
};

class GetJobHandler final : public JobsCall<v1::GetJobRequest, v1::Job> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "jobs", request().name()));
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.Get(principal(), id));
    response() = JobToProto(WithTexts(state_, job));
    return absl::OkStatus();
  }
};

class ListJobsHandler final : public JobsCall<v1::ListJobsRequest, v1::ListJobsResponse> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const int size, PageSize(request().page_size(), 50, 1000));
    GWQ_ASSIGN_OR_RETURN(const JobStore::JobPage page, state_.jobs.List(principal(), size, request().page_token()));
    for (const Job& job : page.jobs) *response().add_jobs() = JobToProto(job);
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class CancelJobHandler final : public JobsCall<v1::CancelJobRequest, v1::Job> {
 public:
  using WithState::WithState;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "jobs", request().name()));
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.Cancel(principal(), id));
    response() = JobToProto(WithTexts(state_, job));
    return absl::OkStatus();
  }
};

}  // namespace

grpc::ServerUnaryReactor* JobService::CreateJob(grpc::CallbackServerContext* context,
                                                const v1::CreateJobRequest* request, v1::CreateJobResponse* response) {
  return Start<CreateJobHandler>("JobService/CreateJob", context, request, response);
}
grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context, const v1::GetJobRequest* request,
                                             v1::Job* response) {
  return Start<GetJobHandler>("JobService/GetJob", context, request, response);
}
grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context, const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return Start<ListJobsHandler>("JobService/ListJobs", context, request, response);
}
grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const v1::CancelJobRequest* request, v1::Job* response) {
  return Start<CancelJobHandler>("JobService/CancelJob", context, request, response);
}

}  // namespace gwq
