// Which metrics each kind of evaluation gives when it compares with a reference, as a quantization's do.
#pragma once

#include <span>
#include <string_view>

#include "core/spec/evaluation_task.h"

namespace gwq {

// In the order in which a report lists them; docs/evaluation.md says what each means.
[[nodiscard]] std::span<const std::string_view> MetricsOf(EvaluationKind kind);

}  // namespace gwq
