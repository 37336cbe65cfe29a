// What an evaluation asks of its models, seen from their manifests and small files: refused before a job waits, and not
// after its first answers.
#pragma once

#include <string_view>

#include "absl/status/status.h"
#include "core/artifact/stored_model.h"
#include "core/spec/evaluation_task.h"

namespace gwq {

// For tasks about images: FAILED_PRECONDITION if `model` or `reference` (null: none) sees none; the errors of
// ProcessorOf; INVALID_ARGUMENT at `path` + ".kind" for boxes if the model's family has no text for them.
[[nodiscard]] absl::Status CheckEvaluationModels(const StoredModel& model, const StoredModel* reference,
                                                 const EvaluationTask& task, std::string_view path);

}  // namespace gwq
