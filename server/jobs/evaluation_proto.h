// Evaluations between the wire and core.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/spec/evaluation_task.h"
#include "gwq/v1/evaluations.pb.h"

namespace gwq {

// Unset fields take their defaults; the dataset is left as it is told. INVALID_ARGUMENT at `field` + ".kind" for a kind
// that this version does not know; the rest is not checked.
[[nodiscard]] absl::StatusOr<EvaluationTask> TaskFromProto(std::string_view field, const v1::EvaluationTask& proto);
[[nodiscard]] v1::EvaluationTask TaskToProto(const EvaluationTask& task);

// Adds the metrics of a result's JSON, which a worker sent: those that have a name and a number. None if it cannot be
// read.
void AddMetrics(const std::string& result_json, v1::Evaluation& out);

}  // namespace gwq
