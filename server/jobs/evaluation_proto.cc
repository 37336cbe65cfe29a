#include "server/jobs/evaluation_proto.h"

#include <optional>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_fields.h"
#include "server/jobs/wire_enums.h"

namespace gwq {

absl::StatusOr<EvaluationTask> TaskFromProto(std::string_view field, const v1::EvaluationTask& proto) {
  EvaluationTask task;
  task.name = proto.name();
  GWQ_RETURN_IF_ERROR(FromWire(fmt::format("{}.kind", field), proto.kind(), v1::EvaluationTask::Kind_MAX, task.kind));
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
  out.set_kind(ToWire<v1::EvaluationTask::Kind>(task.kind));
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
  for (const nlohmann::json& metric : (*result)["metrics"]) {
    const std::string name = TextIn(metric, "name");
    const std::optional<double> value = NumberIn(metric, "value");
    if (name.empty() || !value.has_value()) continue;
    v1::EvaluationMetric& to = *out.add_metrics();
    to.set_name(name);
    to.set_value(*value);
    if (const auto error = NumberIn(metric, "standard_error")) to.set_standard_error(*error);
  }
}

}  // namespace gwq
