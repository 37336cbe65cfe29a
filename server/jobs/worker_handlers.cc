#include "server/jobs/worker_handlers.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"
#include "core/jobs/specs.h"
#include "server/jobs/job_proto.h"

namespace gwq {
namespace {

constexpr int64_t kMaxWaitMillis = 60'000;

}  // namespace

void AcquireHandler::Start() {
  if (request().worker().empty())
    return End(InvalidField("worker", "is empty; every worker process has a name of its own"));
  WaitFor("", std::clamp<int64_t>(request().wait_millis(), 0, kMaxWaitMillis));
}

absl::StatusOr<bool> AcquireHandler::Look() {
  // A caller that is gone must not be given a lease that nobody would renew.
  if (cancelled()) return true;
  auto lease = state_.context.jobs.Acquire({request().worker(), request().device(), request().memory_bytes(), {}});
  if (lease.status().code() == absl::StatusCode::kNotFound) return false;
  GWQ_RETURN_IF_ERROR(lease.status());
  response().set_job(lease->job.id);
  response().set_kind(lease->job.kind);
  response().set_spec_json(lease->job.spec_json);
  response().set_fencing_token(lease->fencing_token);
  response().set_ttl_millis(lease->ttl_millis);
  response().set_attempt(lease->job.attempt);
  return true;
}

absl::Status HeartbeatHandler::Run() {
  const std::vector<std::string> lines(request().log_lines().begin(), request().log_lines().end());
  GWQ_ASSIGN_OR_RETURN(const bool cancel,
                       jobs().jobs.Renew(request().job(), request().fencing_token(),
                                         {request().phase(), request().done(), request().total()}, lines));
  response().set_cancel(cancel);
  return absl::OkStatus();
}

absl::StatusOr<CatalogueEntry> CommitHandler::EntryOf(const Job& job) {
  CatalogueEntry entry;
  entry.principal = job.principal;
  entry.kind = request().kind();
  if (job.kind == kQuantizeKind) {
    GWQ_ASSIGN_OR_RETURN(const QuantizeJob spec, ParseQuantizeJob(job.spec_json));
    entry.name = spec.artifact_id;
  } else if (job.kind == kExportKind) {
    GWQ_ASSIGN_OR_RETURN(const ExportJob spec, ParseExportJob(job.spec_json));
    entry.name = spec.model_id;
  } else {
    GWQ_ASSIGN_OR_RETURN(const ImportJob spec, ParseImportJob(job.spec_json));
    entry.name = spec.model_id;
  }
  const auto manifest = Digest::Parse(request().manifest_sha256());
  if (!manifest.ok()) return InvalidField("manifest_sha256", MessageOf(manifest.status()));
  // Nothing is named that is not here.
  GWQ_RETURN_IF_ERROR(jobs().blobs.Stat(*manifest).status());
  entry.manifest = *manifest;
  entry.stored_bytes = request().stored_bytes();
  entry.architecture = request().architecture();
  if (const auto source = Digest::Parse(request().source_sha256()); source.ok()) entry.source = *source;
  entry.report_json = request().report_json();
  entry.report_markdown = request().report_markdown();
  entry.job = job.id;
  return entry;
}

absl::Status CommitHandler::Run() {
  Publication publication;
  if (!request().kind().empty()) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<Job> live, jobs().jobs.LiveJobs());
    const auto job = std::ranges::find(live, request().job(), &Job::id);
    // An ended job may still have been committed by this very token: the store knows.
    if (job != live.end()) {
      GWQ_ASSIGN_OR_RETURN(publication.entry, EntryOf(*job));
      publication.result_json = ResultJson(*publication.entry);
    }
  }
  return jobs().jobs.Commit(request().job(), request().fencing_token(), publication);
}

absl::Status FailHandler::Run() {
  return jobs().jobs.Fail(request().job(), request().fencing_token(),
                          {request().code(), request().message(), request().field()}, request().retryable());
}

}  // namespace gwq
