#include "server/jobs/job_proto.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/jobs/specs.h"
#include "server/jobs/names.h"
#include "server/jobs/recipe_proto.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

v1::JobState StateToProto(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return v1::JOB_STATE_QUEUED;
    case JobState::kRunning:
      return v1::JOB_STATE_RUNNING;
    case JobState::kSucceeded:
      return v1::JOB_STATE_SUCCEEDED;
    case JobState::kFailed:
      return v1::JOB_STATE_FAILED;
    case JobState::kCancelled:
      return v1::JOB_STATE_CANCELLED;
  }
  return v1::JOB_STATE_UNSPECIFIED;
}

// A spec in the store was written by this program; one that does not parse is simply left out.
void SetSpec(const Job& job, v1::Job& to) {
  if (job.kind == kQuantizeKind) {
    if (const auto spec = ParseQuantizeJob(job.spec_json); spec.ok()) {
      to.mutable_quantize()->set_model("models/" + spec->model);
      to.mutable_quantize()->set_artifact_id(spec->artifact_id);
      *to.mutable_quantize()->mutable_recipe() = RecipeToProto(spec->recipe);
    }
  } else if (job.kind == kExportKind) {
    if (const auto spec = ParseExportJob(job.spec_json); spec.ok()) {
      to.mutable_export_artifact()->set_artifact("artifacts/" + spec->artifact);
      to.mutable_export_artifact()->set_format(spec->format);
      to.mutable_export_artifact()->set_model_id(spec->model_id);
    }
  } else if (job.kind == kImportKind) {
    if (const auto spec = ParseImportJob(job.spec_json); spec.ok()) {
      to.mutable_import_model()->set_upload("uploads/" + spec->upload);
      to.mutable_import_model()->set_model_id(spec->model_id);
    }
  }
}

CatalogueEntry EntryOfResult(const Job& job) {
  CatalogueEntry entry;
  const Json result = Json::parse(job.result_json, nullptr, false);
  if (!result.is_object()) return entry;
  entry.kind = result.value("kind", "");
  entry.name = result.value("name", "");
  entry.manifest = Digest::Parse(result.value("digest", "")).value_or(Digest());
  entry.stored_bytes = result.value("stored_bytes", uint64_t{0});
  entry.architecture = result.value("architecture", "");
  if (const auto source = Digest::Parse(result.value("source", "")); source.ok()) entry.source = *source;
  entry.job = job.id;
  entry.created_wall_millis = job.finished_wall_millis;
  return entry;
}

std::string EntryName(const CatalogueEntry& entry) {
  return entry.name.empty() ? std::string() : fmt::format("{}s/{}", entry.kind, entry.name);
}

}  // namespace

bool IsEnded(JobState state) {
  return state == JobState::kSucceeded || state == JobState::kFailed || state == JobState::kCancelled;
}

std::string ResultJson(const CatalogueEntry& entry) {
  Json result = {{"kind", entry.kind},
                 {"name", entry.name},
                 {"digest", entry.manifest.Hex()},
                 {"stored_bytes", entry.stored_bytes},
                 {"architecture", entry.architecture}};
  if (entry.source.has_value()) result["source"] = entry.source->Hex();
  return result.dump();
}

v1::Model ModelToProto(const CatalogueEntry& entry) {
  v1::Model to;
  to.set_name("models/" + entry.name);
  to.set_digest(entry.manifest.Hex());
  to.set_architecture(entry.architecture);
  to.set_stored_bytes(entry.stored_bytes);
  SetTimestamp(entry.created_wall_millis, *to.mutable_create_time());
  to.set_job("jobs/" + entry.job);
  return to;
}

v1::Artifact ArtifactToProto(const CatalogueEntry& entry) {
  v1::Artifact to;
  to.set_name("artifacts/" + entry.name);
  to.set_digest(entry.manifest.Hex());
  to.set_architecture(entry.architecture);
  to.set_stored_bytes(entry.stored_bytes);
  SetTimestamp(entry.created_wall_millis, *to.mutable_create_time());
  to.set_job("jobs/" + entry.job);
  if (entry.source.has_value()) to.set_source_digest(entry.source->Hex());
  to.set_report_json(entry.report_json);
  to.set_report_markdown(entry.report_markdown);
  return to;
}

v1::Upload UploadToProto(const Upload& upload) {
  v1::Upload to;
  to.set_name("uploads/" + upload.id);
  to.set_model_id(upload.name);
  to.set_total_bytes(upload.total_bytes);
  SetTimestamp(upload.created_wall_millis, *to.mutable_create_time());
  SetTimestamp(upload.expires_wall_millis, *to.mutable_expire_time());
  if (!upload.commit_job.empty()) to.set_job("jobs/" + upload.commit_job);
  return to;
}

v1::Job JobToProto(const Job& job) {
  v1::Job to;
  to.set_name("jobs/" + job.id);
  to.set_operation("operations/" + job.id);
  to.set_kind(job.kind);
  to.set_state(StateToProto(job.state));
  to.mutable_progress()->set_phase(job.progress.phase);
  to.mutable_progress()->set_done(job.progress.done);
  to.mutable_progress()->set_total(job.progress.total);
  to.set_cancel_requested(job.cancel_requested);
  to.set_attempt(job.attempt);
  if (job.error.has_value()) {
    to.mutable_error()->set_code(job.error->code);
    to.mutable_error()->set_message(job.error->message);
  }
  to.set_result(EntryName(EntryOfResult(job)));
  to.set_device(job.device);
  SetTimestamp(job.created_wall_millis, *to.mutable_create_time());
  if (job.started_wall_millis != 0) SetTimestamp(job.started_wall_millis, *to.mutable_start_time());
  if (job.finished_wall_millis != 0) SetTimestamp(job.finished_wall_millis, *to.mutable_end_time());
  SetSpec(job, to);
  return to;
}

google::longrunning::Operation OperationOf(const Job& job) {
  google::longrunning::Operation operation;
  operation.set_name("operations/" + job.id);
  v1::JobMetadata metadata;
  *metadata.mutable_job() = JobToProto(job);
  operation.mutable_metadata()->PackFrom(metadata);
  operation.set_done(IsEnded(job.state));
  if (job.state == JobState::kSucceeded) {
    const CatalogueEntry entry = EntryOfResult(job);
    if (entry.kind == "model") {
      operation.mutable_response()->PackFrom(ModelToProto(entry));
    } else {
      operation.mutable_response()->PackFrom(ArtifactToProto(entry));
    }
  } else if (job.state == JobState::kCancelled) {
    operation.mutable_error()->set_code(static_cast<int>(absl::StatusCode::kCancelled));
    operation.mutable_error()->set_message("the job was cancelled");
  } else if (job.state == JobState::kFailed) {
    *operation.mutable_error() = metadata.job().error();
  }
  return operation;
}

}  // namespace gwq
