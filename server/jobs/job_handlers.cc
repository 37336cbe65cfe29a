#include "server/jobs/job_handlers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/jobs/job_kinds.h"
#include "core/jobs/specs.h"
#include "server/jobs/job_proto.h"
#include "server/jobs/recipe_proto.h"

namespace gwq {
namespace {

constexpr int kLinesPerRead = 200;
constexpr size_t kMaxRequestIdBytes = 128;

}  // namespace

absl::Status CreateJobHandler::Run() {
  if (request().request_id().size() > kMaxRequestIdBytes) {
    return InvalidField("request_id",
                        fmt::format("{} bytes; the limit is {}", request().request_id().size(), kMaxRequestIdBytes));
  }
  switch (request().spec_case()) {
    case v1::CreateJobRequest::kQuantize:
      return Quantize();
    case v1::CreateJobRequest::kExportArtifact:
      return Export();
    default:
      return InvalidField("spec", "is missing: give quantize or export_artifact");
  }
}

absl::Status CreateJobHandler::Quantize() {
  const v1::QuantizeSpec& asked = request().quantize();
  QuantizeJob spec;
  GWQ_ASSIGN_OR_RETURN(spec.model, IdOf("quantize.model", "models", asked.model()));
  GWQ_RETURN_IF_ERROR(CheckResourceId("quantize.artifact_id", asked.artifact_id()));
  spec.artifact_id = asked.artifact_id();
  GWQ_ASSIGN_OR_RETURN(spec.recipe, RecipeFromProto(asked.recipe()));
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry model, jobs().catalogue.Find(principal(), "model", spec.model));
  spec.source = model.manifest;
  GWQ_ASSIGN_OR_RETURN(const Plan plan, PlanStoredModel(jobs().blobs, spec.source, spec.recipe));
  if (request().validate_only()) {
    *response().mutable_plan() = PlanToProto(plan);
    return absl::OkStatus();
  }
  Job job;
  job.kind = kQuantizeKind;
  job.spec_json = SpecJson(spec);
  job.memory_bytes = plan.peak_memory_bytes;
  return Enqueue(std::move(job));
}

absl::Status CreateJobHandler::Export() {
  const v1::ExportSpec& asked = request().export_artifact();
  ExportJob spec;
  GWQ_ASSIGN_OR_RETURN(spec.artifact, IdOf("export_artifact.artifact", "artifacts", asked.artifact()));
  GWQ_RETURN_IF_ERROR(CheckResourceId("export_artifact.model_id", asked.model_id()));
  spec.model_id = asked.model_id();
  spec.format = asked.format();
  GWQ_ASSIGN_OR_RETURN(const CatalogueEntry artifact, jobs().catalogue.Find(principal(), "artifact", spec.artifact));
  spec.source = artifact.manifest;
  Job job;
  job.kind = kExportKind;
  job.spec_json = SpecJson(spec);
  GWQ_ASSIGN_OR_RETURN(job.memory_bytes, FindJobKind(kExportKind)->plan(jobs().blobs, job.spec_json));
  if (request().validate_only()) return absl::OkStatus();
  return Enqueue(std::move(job));
}

absl::Status CreateJobHandler::Enqueue(Job job) {
  job.principal = principal();
  job.request_id = request().request_id();
  GWQ_ASSIGN_OR_RETURN(job, jobs().jobs.Enqueue(std::move(job)));
  *response().mutable_job() = JobToProto(job);
  return absl::OkStatus();
}

absl::Status GetJobHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "jobs", request().name()));
  GWQ_ASSIGN_OR_RETURN(const Job job, jobs().jobs.Get(principal(), id));
  response() = JobToProto(job);
  return absl::OkStatus();
}

absl::Status ListJobsHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const int page_size, PageSize(request().page_size(), 50, 1000));
  GWQ_ASSIGN_OR_RETURN(const auto page, jobs().jobs.List(principal(), page_size, request().page_token()));
  for (const Job& job : page.jobs) *response().add_jobs() = JobToProto(job);
  response().set_next_page_token(page.next_page_token);
  return absl::OkStatus();
}

absl::Status CancelJobHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "jobs", request().name()));
  GWQ_ASSIGN_OR_RETURN(const Job job, jobs().jobs.Cancel(principal(), id));
  response() = JobToProto(job);
  return absl::OkStatus();
}

template <class Request, class Response>
void JobStreamHandler<Request, Response>::Open() {
  absl::StatusOr<std::string> id = IdOf("name", "jobs", this->request().name());
  if (!id.ok()) return this->End(id.status());
  id_ = *std::move(id);
  watch_ = JobWatch(state_.watchers, id_, [weak = this->weak_from_this()](bool closing) {
    const auto self = weak.lock();
    if (self == nullptr) return;
    if (closing) return self->End(absl::UnavailableError("the service is going down; watch again"));
    self->Post([raw = static_cast<JobStreamHandler*>(self.get())] { raw->Refresh(); });
  });
  Refresh();
}

template <class Request, class Response>
void JobStreamHandler<Request, Response>::Refresh() {
  MutexLock lock(advancing_);
  // A client that is behind is told the newest state once it has read what was sent: Drained comes here again.
  if (this->queued() > 0 || this->ended()) return;
  const absl::Status status = Advance();
  if (!status.ok()) this->End(status);
}

absl::Status WatchJobHandler::Advance() {
  GWQ_ASSIGN_OR_RETURN(const Job job, state_.context.jobs.Get(principal(), id_));
  if (job.version == sent_version_) return absl::OkStatus();
  sent_version_ = job.version;
  Send(JobToProto(job));
  if (IsEnded(job.state)) End(absl::OkStatus());
  return absl::OkStatus();
}

absl::Status ReadJobLogsHandler::Advance() {
  next_ = std::max(next_, request().first_index());
  // The state is read before the lines: a job seen as ended writes no more of them.
  GWQ_ASSIGN_OR_RETURN(const Job job, state_.context.jobs.Get(principal(), id_));
  GWQ_ASSIGN_OR_RETURN(const auto lines, state_.context.jobs.Logs(principal(), id_, next_, kLinesPerRead));
  for (const JobLogLine& line : lines) {
    v1::JobLogLine to;
    to.set_index(line.index);
    SetTimestamp(line.wall_millis, *to.mutable_time());
    to.set_text(line.text);
    next_ = line.index + 1;
    Send(std::move(to));
  }
  const bool over = IsEnded(job.state) || !request().follow();
  if (over && lines.size() < kLinesPerRead) End(absl::OkStatus());
  return absl::OkStatus();
}

template class JobStreamHandler<v1::WatchJobRequest, v1::Job>;
template class JobStreamHandler<v1::ReadJobLogsRequest, v1::JobLogLine>;

}  // namespace gwq
