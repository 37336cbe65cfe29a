#include "server/jobs/record_proto.h"

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_fields.h"
#include "core/quant/report_summary.h"
#include "server/common/status_to_grpc.h"
#include "server/jobs/evaluation_proto.h"
#include "server/jobs/kinds/spec_proto.h"
#include "server/jobs/resource_names.h"
#include "server/jobs/wire_enums.h"

namespace gwq {
namespace {

absl::StatusOr<CatalogueEntry> EntryOfResult(const Job& job) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json result, ParseJson("result", job.result_json));
  CatalogueEntry entry;
  entry.kind = TextIn(result, "kind");
  entry.name = TextIn(result, "name");
  entry.stored_bytes = UintIn(result, "stored_bytes").value_or(0);
  entry.architecture = TextIn(result, "architecture");
  GWQ_ASSIGN_OR_RETURN(entry.manifest, Digest::Parse(TextIn(result, "digest")));
  if (const std::string source = TextIn(result, "source"); !source.empty()) {
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

v1::ArtifactSummary SummaryToProto(const ReportSummary& summary) {
  v1::ArtifactSummary out;
  out.set_method(summary.method);
  out.set_source_bytes(summary.source_bytes);
  out.set_total_bytes(summary.total_bytes);
  out.set_matrix_bits_per_weight(summary.matrix_bits);
  out.set_model_bits_per_weight(summary.model_bits);
  if (summary.perplexity_before) out.set_perplexity_before(*summary.perplexity_before);
  if (summary.perplexity) out.set_perplexity(*summary.perplexity);
  if (summary.mean_kl) out.set_mean_kl(*summary.mean_kl);
  if (summary.same_top1) out.set_same_top1(*summary.same_top1);
  out.set_seconds(summary.seconds);
  out.set_peak_memory_bytes(summary.peak_memory_bytes);
  for (const SummaryMetric& one : summary.metrics) {
    v1::SummaryMetric& metric = *out.add_metrics();
    metric.set_evaluation(one.evaluation);
    metric.set_metric(one.metric);
    if (one.before) metric.set_before(*one.before);
    metric.set_after(one.after);
  }
  return out;
}

}  // namespace

void SetTime(int64_t wall_millis, google::protobuf::Timestamp& out) {
  out.set_seconds(wall_millis / 1000);
  out.set_nanos(static_cast<int>(wall_millis % 1000) * 1'000'000);
}

bool IsLive(JobState state) { return state == JobState::kQueued || state == JobState::kRunning; }

v1::Job JobToProto(const Job& job) {
  v1::Job out;
  out.set_name("jobs/" + job.id);
  out.set_kind(job.kind);
  out.set_state(ToWire<v1::JobState>(job.state));
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
  out.set_has_report(job.has_report);
  // A spec that this version cannot read any more is left out: the job itself is still worth showing.
  SpecToProto(job.kind, job.spec_json, out).IgnoreError();
  return out;
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
  if (const auto summary = ParseSummary(entry.summary_json)) *out.mutable_summary() = SummaryToProto(*summary);
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
  *metadata.mutable_job() = JobToProto(job);
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
