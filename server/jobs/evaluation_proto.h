// Evaluations between the wire and core.
#pragma once

#include <string>

#include "core/spec/evaluation_task.h"
#include "gwq/v1/evaluations.pb.h"

namespace gwq {

// Unset fields take their defaults; the dataset is left as it is told. The result is not checked.
[[nodiscard]] EvaluationTask TaskFromProto(const v1::EvaluationTask& proto);
[[nodiscard]] v1::EvaluationTask TaskToProto(const EvaluationTask& task);

// Adds the metrics of a result's JSON; none if it cannot be read.
void AddMetrics(const std::string& result_json, v1::Evaluation& out);

}  // namespace gwq
