#include "server/jobs/evaluation_proto.h"

#include "core/io/json.h"

namespace gwq {

EvaluationTask TaskFromProto(const v1::EvaluationTask& proto) {
  EvaluationTask task;
  task.name = proto.name();
  // Wire enums count from 1, with 0 for "unset"; core's from 0, in the same order.
  if (proto.kind() != v1::EvaluationTask::KIND_UNSPECIFIED) task.kind = static_cast<EvaluationKind>(proto.kind() - 1);
  task.dataset = proto.dataset();
  task.text = proto.text();
  if (proto.has_tokens()) task.tokens = proto.tokens();
  if (proto.has_window()) task.window = proto.window();
  if (proto.has_limit()) task.limit = proto.limit();
  if (proto.has_delimiter()) task.delimiter = proto.delimiter();
  if (proto.has_max_tokens()) task.max_tokens = proto.max_tokens();
  if (proto.has_threads()) task.threads = proto.threads();
  return task;
}

v1::EvaluationTask TaskToProto(const EvaluationTask& task) {
  v1::EvaluationTask out;
  out.set_name(task.name);
  out.set_kind(static_cast<v1::EvaluationTask::Kind>(static_cast<int>(task.kind) + 1));
  out.set_dataset(task.dataset);
  out.set_text(task.text);
  out.set_tokens(task.tokens);
  out.set_window(task.window);
  out.set_limit(task.limit);
  out.set_delimiter(task.delimiter);
  out.set_max_tokens(task.max_tokens);
  out.set_threads(task.threads);
  return out;
}

void AddMetrics(const std::string& result_json, v1::Evaluation& out) {
  const auto result = ParseJson("result", result_json);
  if (!result.ok() || !result->is_object() || !result->contains("metrics")) return;
  for (const auto& metric : result->at("metrics")) {
    if (!metric.is_object() || !metric.contains("value") || !metric["value"].is_number()) continue;
    v1::EvaluationMetric& to = *out.add_metrics();
    to.set_name(metric.value("name", ""));
    to.set_value(metric["value"].get<double>());
    if (metric.contains("standard_error")) to.set_standard_error(metric["standard_error"].get<double>());
  }
}

}  // namespace gwq
