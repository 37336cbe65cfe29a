#include "server/jobs/record_proto.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/spec/job_specs.h"
#include "server/common/status_to_grpc.h"
#include "server/jobs/evaluation_proto.h"
#include "server/jobs/recipe_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

constexpr size_t kMaxSummaryText = 1024;

void SetTime(int64_t wall_millis, google::protobuf::Timestamp& out) {
  out.set_seconds(wall_millis / 1000);
  out.set_nanos(static_cast<int>(wall_millis % 1000) * 1'000'000);
}

// A spec that this version cannot read any more is left out: the job itself is still worth showing.
void SetSpec(const Job& job, v1::Job& out) {
  if (job.kind == kImportKind) {
    if (const auto spec = ParseImportJob(job.spec_json); spec.ok()) {
      out.mutable_import_model()->set_upload("uploads/" + spec->upload);
      if (spec->dataset) {
        out.mutable_import_model()->set_dataset_id(spec->model_id);
      } else {
        out.mutable_import_model()->set_model_id(spec->model_id);
      }
    }
  } else if (job.kind == kQuantizeKind) {
    if (const auto spec = ParseQuantizeJob(job.spec_json); spec.ok()) {
      out.mutable_quantize()->set_model("models/" + spec->model);
      out.mutable_quantize()->set_artifact_id(spec->artifact_id);
      *out.mutable_quantize()->mutable_recipe() = RecipeToProto(spec->recipe);
      for (const EvaluationTask& task : spec->evaluations) {
        *out.mutable_quantize()->add_evaluations() = TaskToProto(task);
      }
    }
  } else if (job.kind == kExportKind) {
    if (const auto spec = ParseExportJob(job.spec_json); spec.ok()) {
      out.mutable_export_artifact()->set_artifact("artifacts/" + spec->artifact);
      out.mutable_export_artifact()->set_format(spec->format);
      out.mutable_export_artifact()->set_model_id(spec->model_id);
    }
  } else if (job.kind == kEvaluateKind) {
    if (const auto spec = ParseEvaluateJob(job.spec_json); spec.ok()) {
      out.mutable_evaluate()->set_target(spec->target);
      out.mutable_evaluate()->set_evaluation_id(spec->evaluation_id);
      out.mutable_evaluate()->set_reference(spec->reference);
      *out.mutable_evaluate()->mutable_task() = TaskToProto(spec->task);
    }
  }
}

// The first bytes of a JSON text, quotes left out, about `size` of them: no character and no escape is cut.
std::string_view Beginning(std::string_view text, size_t size) {
  size_t at = 0;
  while (at < size) at += text[at] != '\\' ? 1 : text[at + 1] == 'u' ? 6 : 2;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return text.substr(0, at);
}

// `json`, which CanonicalJson wrote, with its long texts cut. Parsing megabytes for each look at a job would be what a
// service with long texts does most.
std::string WithTextsCut(std::string_view json) {
  std::string out;
  while (!json.empty()) {
    const size_t quote = std::min(json.find('"'), json.size());
    out += json.substr(0, quote);
    json.remove_prefix(quote);
    if (json.empty()) break;
    size_t end = json.find('"', 1);
    // An odd number of backslashes before it: it belongs to the text.
    const auto escaped = [&] { return (end - 1 - json.find_last_not_of('\\', end - 1)) % 2 == 1; };
    while (end != std::string_view::npos && escaped()) end = json.find('"', end + 1);
    if (end == std::string_view::npos) break;
    const std::string_view text = json.substr(1, end - 1);
    out += '"';
    out += text.size() <= kMaxSummaryText ? text : Beginning(text, kMaxSummaryText);
    if (text.size() > kMaxSummaryText) out += "\u2026";
    out += '"';
    json.remove_prefix(end + 1);
  }
  return out;
}

absl::StatusOr<CatalogueEntry> EntryOfResult(const Job& job) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json result, ParseJson("result", job.result_json));
  CatalogueEntry entry;
  entry.kind = result.value("kind", "");
  entry.name = result.value("name", "");
  entry.stored_bytes = result.value("stored_bytes", uint64_t{0});
  entry.architecture = result.value("architecture", "");
  GWQ_ASSIGN_OR_RETURN(entry.manifest, Digest::Parse(result.value("digest", "")));
  if (const std::string source = result.value("source", ""); !source.empty()) {
    GWQ_ASSIGN_OR_RETURN(entry.source, Digest::Parse(source));
  }
  entry.job = job.id;
  entry.created_wall_millis = job.finished_wall_millis;
  return entry;
}

absl::Status StatusOf(const JobError& error) {
  const absl::StatusCode code = static_cast<absl::StatusCode>(error.code);
  if (error.field.empty()) return absl::Status(code, error.message);
  absl::Status status = InvalidField(error.field, error.message);
  // The worker's message names the field already.
  absl::Status out(code, error.message);
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { out.SetPayload(url, payload); });
  return out;
}

}  // namespace

bool IsLive(JobState state) { return state == JobState::kQueued || state == JobState::kRunning; }

v1::Job JobToProto(const Job& job) {
  v1::Job out;
  out.set_name("jobs/" + job.id);
  out.set_kind(job.kind);
  out.set_state(static_cast<v1::JobState>(static_cast<int>(job.state) + 1));
  out.mutable_progress()->set_phase(job.progress.phase);
  out.mutable_progress()->set_done(job.progress.done);
  out.mutable_progress()->set_total(job.progress.total);
  out.set_cancel_requested(job.cancel_requested);
  out.set_attempt(job.attempt);
  if (job.error.has_value()) *out.mutable_error() = ToRpcStatus(StatusOf(*job.error));
  if (const auto made = EntryOfResult(job); job.state == JobState::kSucceeded && made.ok()) {
    out.set_result(NameOf(made->kind, made->name));
  }
  out.set_device(job.device);
  SetTime(job.created_wall_millis, *out.mutable_create_time());
  if (job.started_wall_millis != 0) SetTime(job.started_wall_millis, *out.mutable_start_time());
  if (job.finished_wall_millis != 0) SetTime(job.finished_wall_millis, *out.mutable_end_time());
  out.set_operation("operations/" + job.id);
  SetSpec(job, out);
  return out;
}

v1::Job JobSummary(Job job) {
  job.spec_json = WithTextsCut(job.spec_json);
  return JobToProto(job);
}

void CopySpec(const v1::Job& from, v1::Job& to) {
  if (from.has_quantize()) *to.mutable_quantize() = from.quantize();
  if (from.has_export_artifact()) *to.mutable_export_artifact() = from.export_artifact();
  if (from.has_import_model()) *to.mutable_import_model() = from.import_model();
  if (from.has_evaluate()) *to.mutable_evaluate() = from.evaluate();
}

v1::Model ModelToProto(const CatalogueEntry& entry) {
  v1::Model out;
  out.set_name("models/" + entry.name);
  out.set_digest(entry.manifest.Hex());
  out.set_architecture(entry.architecture);
  out.set_stored_bytes(entry.stored_bytes);
  SetTime(entry.created_wall_millis, *out.mutable_create_time());
  out.set_job("jobs/" + entry.job);
  return out;
}

v1::Artifact ArtifactToProto(const CatalogueEntry& entry) {
  v1::Artifact out;
  out.set_name("artifacts/" + entry.name);
  out.set_digest(entry.manifest.Hex());
  out.set_architecture(entry.architecture);
  out.set_stored_bytes(entry.stored_bytes);
  SetTime(entry.created_wall_millis, *out.mutable_create_time());
  out.set_job("jobs/" + entry.job);
  if (entry.source.has_value()) out.set_source_digest(entry.source->Hex());
  out.set_report_json(entry.report_json);
  out.set_report_markdown(entry.report_markdown);
  return out;
}

v1::Upload UploadToProto(const Upload& upload) {
  v1::Upload out;
  out.set_name("uploads/" + upload.id);
  const JobProduct product = UploadProduct(upload);
  if (product.kind == "dataset") {
    out.set_dataset_id(product.id);
  } else {
    out.set_model_id(product.id);
  }
  out.set_total_bytes(upload.total_bytes);
  SetTime(upload.created_wall_millis, *out.mutable_create_time());
  SetTime(upload.expires_wall_millis, *out.mutable_expire_time());
  if (!upload.commit_job.empty()) out.set_job("jobs/" + upload.commit_job);
  return out;
}

v1::Dataset DatasetToProto(const CatalogueEntry& entry) {
  v1::Dataset out;
  out.set_name("datasets/" + entry.name);
  out.set_digest(entry.manifest.Hex());
  out.set_stored_bytes(entry.stored_bytes);
  SetTime(entry.created_wall_millis, *out.mutable_create_time());
  out.set_job("jobs/" + entry.job);
  return out;
}

v1::Evaluation EvaluationToProto(const CatalogueEntry& entry) {
  v1::Evaluation out;
  out.set_name("evaluations/" + entry.name);
  out.set_digest(entry.manifest.Hex());
  if (entry.source.has_value()) out.set_model_digest(entry.source->Hex());
  out.set_architecture(entry.architecture);
  SetTime(entry.created_wall_millis, *out.mutable_create_time());
  out.set_job("jobs/" + entry.job);
  out.set_result_json(entry.report_json);
  out.set_result_markdown(entry.report_markdown);
  AddMetrics(entry.report_json, out);
  return out;
}

google::longrunning::Operation OperationOf(const Job& job) {
  google::longrunning::Operation out;
  out.set_name("operations/" + job.id);
  v1::JobMetadata metadata;
  *metadata.mutable_job() = JobSummary(job);
  out.mutable_metadata()->PackFrom(metadata);
  out.set_done(!IsLive(job.state));
  if (job.state == JobState::kSucceeded) {
    const auto entry = EntryOfResult(job);
    if (!entry.ok()) {
      *out.mutable_error() = ToRpcStatus(entry.status());
    } else if (entry->kind == "model") {
      out.mutable_response()->PackFrom(ModelToProto(*entry));
    } else if (entry->kind == "dataset") {
      out.mutable_response()->PackFrom(DatasetToProto(*entry));
    } else if (entry->kind == "evaluation") {
      out.mutable_response()->PackFrom(EvaluationToProto(*entry));
    } else {
      out.mutable_response()->PackFrom(ArtifactToProto(*entry));
    }
  } else if (out.done()) {
    *out.mutable_error() = ToRpcStatus(StatusOf(job.error.value_or(JobError{})));
  }
  return out;
}

std::string ResultJson(const CatalogueEntry& entry) {
  return CanonicalJson({{"kind", entry.kind},
                        {"name", entry.name},
                        {"digest", entry.manifest.Hex()},
                        {"stored_bytes", entry.stored_bytes},
                        {"architecture", entry.architecture},
                        {"source", entry.source.has_value() ? entry.source->Hex() : std::string()}});
}

}  // namespace gwq
