// Creating, showing and cancelling jobs; watching them stands in watch_handlers.cc.
#include <fmt/format.h>

#include <optional>

#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/spec/job_specs.h"
#include "server/common/handler.h"
#include "server/jobs/evaluation_proto.h"
#include "server/jobs/manifest_cache.h"
#include "server/jobs/recipe_proto.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"
#include "server/jobs/services.h"

namespace gwq {
namespace {

constexpr int kModelsAtOnce = 100;
constexpr int kMaxEvaluations = 32;

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
        *response().mutable_job() = JobToProto(*made);
        return absl::OkStatus();
      }
    }
    switch (request().spec_case()) {
      case v1::CreateJobRequest::kQuantize:
        return InRequest(Quantize(request().quantize()));
      case v1::CreateJobRequest::kExportArtifact:
        return Export(request().export_artifact());
      case v1::CreateJobRequest::kEvaluate:
        return Evaluate(request().evaluate());
      default:
        return InvalidField("spec", "missing: give quantize, export_artifact or evaluate");
    }
  }

  // Core names a recipe's fields from the recipe on.
  static absl::Status InRequest(const absl::Status& status) {
    const std::vector<FieldViolation> violations = FieldViolations(status);
    if (violations.empty() || !violations[0].field.starts_with("recipe")) return status;
    return InvalidField("quantize." + violations[0].field, violations[0].description);
  }

  absl::Status Quantize(const v1::QuantizeSpec& proto) {
    QuantizeJob spec;
    GWQ_ASSIGN_OR_RETURN(spec.model, IdOf("quantize.model", "models", proto.model()));
    spec.artifact_id = proto.artifact_id();
    GWQ_RETURN_IF_ERROR(CheckResourceId("quantize.artifact_id", spec.artifact_id));
    GWQ_ASSIGN_OR_RETURN(spec.recipe, RecipeFromProto(proto.recipe()));
    if (const absl::Status blob = CheckCalibrationBlob(spec.recipe); !blob.ok()) return blob;
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry model, state_.catalogue.Find(principal(), "model", spec.model));
    spec.source = model.manifest;
    if (proto.evaluations_size() > kMaxEvaluations) {
      return InvalidField("quantize.evaluations",
                          fmt::format("has {} entries, the limit is {}; evaluate in jobs of their own",
                                      proto.evaluations_size(), kMaxEvaluations));
    }
    for (int i = 0; i < proto.evaluations_size(); ++i) {
      const std::string field = fmt::format("quantize.evaluations[{}]", i);
      GWQ_ASSIGN_OR_RETURN(spec.evaluations.emplace_back(), TaskOf(field, proto.evaluations(i)));
    }
    return PlanOrEnqueue(kQuantizeKind, SpecJson(spec));
  }

  // Of the caller's own: whether others have stored it is not told.
  absl::Status CheckCalibrationBlob(const Recipe& recipe) {
    if (recipe.calibration.blob.empty()) return absl::OkStatus();
    const auto digest = Digest::Parse(recipe.calibration.blob);
    if (!digest.ok()) return InvalidField("recipe.calibration.blob", MessageOf(digest.status()));
    for (const char* kind : {"dataset", "model"}) {
      GWQ_ASSIGN_OR_RETURN(const bool holds, AnyHolds(kind, *digest));
      if (holds) return absl::OkStatus();
    }
    return InvalidField("recipe.calibration.blob",
                        "none of your datasets and models holds it; push the text or the picture as a dataset first");
  }

  absl::StatusOr<bool> AnyHolds(const std::string& kind, const Digest& blob) {
    std::string token;
    do {
      GWQ_ASSIGN_OR_RETURN(const Catalogue::EntryPage page,
                           state_.catalogue.ListEntries(principal(), kind, kModelsAtOnce, token));
      for (const CatalogueEntry& entry : page.entries) {
        GWQ_ASSIGN_OR_RETURN(const auto blobs, state_.manifests.BlobsOf(state_.blobs, entry.manifest));
        if (blobs->contains(blob)) return true;
      }
      token = page.next_page_token;
    } while (!token.empty());
    return false;
  }

  absl::Status Export(const v1::ExportSpec& proto) {
    ExportJob spec;
    GWQ_ASSIGN_OR_RETURN(spec.artifact, IdOf("export_artifact.artifact", "artifacts", proto.artifact()));
    spec.model_id = proto.model_id();
    GWQ_RETURN_IF_ERROR(CheckResourceId("export_artifact.model_id", spec.model_id));
    spec.format = proto.format();
    if (spec.format != "hf-fp16") {
      return InvalidField("export_artifact.format", fmt::format("'{}' is not known; use hf-fp16", spec.format));
    }
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry artifact, state_.catalogue.Find(principal(), "artifact", spec.artifact));
    spec.source = artifact.manifest;
    return PlanOrEnqueue(kExportKind, SpecJson(spec));
  }

  absl::Status Evaluate(const v1::EvaluateSpec& proto) {
    EvaluateJob spec;
    GWQ_ASSIGN_OR_RETURN(const EntryName target, ParseModelName("evaluate.target", proto.target()));
    spec.target = proto.target();
    spec.evaluation_id = proto.evaluation_id();
    GWQ_RETURN_IF_ERROR(CheckResourceId("evaluate.evaluation_id", spec.evaluation_id));
    GWQ_ASSIGN_OR_RETURN(spec.task, TaskOf("evaluate.task", proto.task()));
    GWQ_ASSIGN_OR_RETURN(const CatalogueEntry entry, state_.catalogue.Find(principal(), target.kind, target.id));
    spec.source = entry.manifest;
    if (!proto.reference().empty()) {
      GWQ_ASSIGN_OR_RETURN(const EntryName name, ParseModelName("evaluate.reference", proto.reference()));
      GWQ_ASSIGN_OR_RETURN(const CatalogueEntry reference, state_.catalogue.Find(principal(), name.kind, name.id));
      spec.reference = proto.reference();
      spec.reference_source = reference.manifest;
    }
    return PlanOrEnqueue(kEvaluateKind, SpecJson(spec));
  }

  // The task with its dataset's manifest in the place of the name.
  absl::StatusOr<EvaluationTask> TaskOf(const std::string& field, const v1::EvaluationTask& proto) {
    EvaluationTask task = TaskFromProto(proto);
    if (!proto.dataset().empty()) {
      GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf(field + ".dataset", "datasets", proto.dataset()));
      GWQ_ASSIGN_OR_RETURN(const CatalogueEntry dataset, state_.catalogue.Find(principal(), "dataset", id));
      task.dataset = dataset.manifest.Hex();
    }
    GWQ_RETURN_IF_ERROR(CheckKind(field, proto));
    GWQ_RETURN_IF_ERROR(CheckEvaluationTask(task, field));
    return task;
  }

  static absl::Status CheckKind(const std::string& field, const v1::EvaluationTask& proto) {
    if (v1::EvaluationTask::Kind_IsValid(proto.kind())) return absl::OkStatus();
    return InvalidField(field + ".kind", fmt::format("{} is not a value of this version", int{proto.kind()}));
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
    *response().mutable_job() = JobToProto(job);
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
    response() = JobToProto(job);
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
    for (const Job& job : page.jobs) *response().add_jobs() = JobSummary(job);
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
    response() = JobToProto(job);
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
