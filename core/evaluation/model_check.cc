#include "core/evaluation/model_check.h"

#include <fmt/format.h>

#include "core/artifact/stored_processor.h"
#include "core/base/status.h"

namespace gwq {

absl::Status CheckEvaluationModels(const StoredModel& model, const StoredModel* reference, const EvaluationTask& task,
                                   std::string_view path) {
  if (task.kind != EvaluationKind::kVqa && task.kind != EvaluationKind::kGrounding) return absl::OkStatus();
  for (const StoredModel* side : {&model, reference}) {
    if (side == nullptr) continue;
    const std::string& architecture = side->model()->config().architecture;
    if (side->model()->vision() == nullptr) {
      return absl::FailedPreconditionError(
          fmt::format("{} sees no images; evaluate its text or choices", architecture));
    }
    GWQ_ASSIGN_OR_RETURN(const auto processor, ProcessorOf(*side));
    // A reference's answers are compared token by token, and no box is read from them.
    const bool reads_boxes = task.kind == EvaluationKind::kGrounding && side == &model;
    if (reads_boxes && processor->grounding() == GroundingFormat::kNone) {
      return InvalidField(fmt::format("{}.kind", path),
                          fmt::format("'{}' reads boxes, and {} is of a family that has no text for them, as Qwen2-VL, "
                                      "Qwen2.5-VL and LLaVA have; ask it with kind vqa",
                                      EvaluationKindName(task.kind), architecture));
    }
  }
  return absl::OkStatus();
}

}  // namespace gwq
