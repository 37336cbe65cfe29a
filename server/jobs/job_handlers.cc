// Creating, showing and cancelling jobs; watching them stands in watch_handlers.cc.
#include <optional>

#include "core/base/sha256.h"
#include "core/base/status.h"
#include "server/common/handler.h"
#include "server/jobs/kinds/spec_proto.h"
#include "server/jobs/recipe_proto.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"
#include "server/jobs/services.h"

namespace gwq {
namespace {

template <class Request, class Response>
class JobCall : public BlockingHandler<Request, Response> {
 public:
  JobCall(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
          const Request* request, Response* response, JobsState& state)
      : BlockingHandler<Request, Response>(environment, method, context, request, response), state_(state) {}

 protected:
  JobsState& state_;
};

class CreateJobHandler final : public JobCall<v1::CreateJobRequest, v1::CreateJobResponse> {
 public:
  using JobCall::JobCall;

 private:
  absl::Status Run() override {
    if (request().request_id().size() > 256) return InvalidField("request_id", "longer than 256 bytes");
    MutexLock reachable(state_.collection);
    if (!request().validate_only()) {
      // Before everything else: what the request names may have changed since, its job has not.
      GWQ_ASSIGN_OR_RETURN(const std::optional<Job> made,
                           state_.jobs.MadeBefore(principal(), RequestKey(), RequestSha256()));
      if (made.has_value()) {
        *response().mutable_job() = JobToProto(WithTexts(state_, *made));
        return absl::OkStatus();
      }
    }
    GWQ_ASSIGN_OR_RETURN(const SpecTranslation* const translation, TranslationOf(request()));
    auto spec = translation->from_proto(CallerNames(state_, principal()), request());
    if (!spec.ok()) return InRequest(spec.status());
    return InRequest(PlanOrEnqueue(translation->kind, *std::move(spec)));
  }

  // Core names a recipe's fields from the recipe on.
  static absl::Status InRequest(const absl::Status& status) {
    const std::vector<FieldViolation> violations = FieldViolations(status);
    if (violations.empty() || !violations[0].field.starts_with("recipe")) return status;
    return InvalidField("quantize." + violations[0].field, violations[0].description);
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

class GetJobHandler final : public JobCall<v1::GetJobRequest, v1::Job> {
 public:
  using JobCall::JobCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "jobs", request().name()));
    GWQ_ASSIGN_OR_RETURN(const Job job, state_.jobs.Get(principal(), id));
    response() = JobToProto(WithTexts(state_, job));
    return absl::OkStatus();
  }
};

class ListJobsHandler final : public JobCall<v1::ListJobsRequest, v1::ListJobsResponse> {
 public:
  using JobCall::JobCall;

 private:
  absl::Status Run() override {
    GWQ_ASSIGN_OR_RETURN(const int size, PageSize(request().page_size(), 50, 1000));
    GWQ_ASSIGN_OR_RETURN(const JobStore::JobPage page, state_.jobs.List(principal(), size, request().page_token()));
    for (const Job& job : page.jobs) *response().add_jobs() = JobToProto(job);
    response().set_next_page_token(page.next_page_token);
    return absl::OkStatus();
  }
};

class CancelJobHandler final : public JobCall<v1::CancelJobRequest, v1::Job> {
 public:
  using JobCall::JobCall;

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
  return StartCall<CreateJobHandler>(environment_, "JobService/CreateJob", context, request, response, state_);
}
grpc::ServerUnaryReactor* JobService::GetJob(grpc::CallbackServerContext* context, const v1::GetJobRequest* request,
                                             v1::Job* response) {
  return StartCall<GetJobHandler>(environment_, "JobService/GetJob", context, request, response, state_);
}
grpc::ServerUnaryReactor* JobService::ListJobs(grpc::CallbackServerContext* context, const v1::ListJobsRequest* request,
                                               v1::ListJobsResponse* response) {
  return StartCall<ListJobsHandler>(environment_, "JobService/ListJobs", context, request, response, state_);
}
grpc::ServerUnaryReactor* JobService::CancelJob(grpc::CallbackServerContext* context,
                                                const v1::CancelJobRequest* request, v1::Job* response) {
  return StartCall<CancelJobHandler>(environment_, "JobService/CancelJob", context, request, response, state_);
}

}  // namespace gwq
