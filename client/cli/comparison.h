// Two evaluations side by side.
#pragma once

#include <string>
#include <vector>

#include "client/cli/session.h"
#include "gwq/v1/evaluations.pb.h"

namespace gwq::cli {

// In what the two were not measured alike, as "task.limit: 10 and 20"; empty if their figures can be compared. A
// task's name does not count, and a reference only where both have one.
[[nodiscard]] std::vector<std::string> MeasuredDifferently(const v1::Evaluation& a, const v1::Evaluation& b);

// The number of items and each metric with its standard error, as a table or one JSON object.
void PrintComparison(Session& session, const v1::Evaluation& a, const v1::Evaluation& b);

}  // namespace gwq::cli
