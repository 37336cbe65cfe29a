// One evaluation: a task on a stored model or artifact, alone or against a reference.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/evaluation/result.h"
#include "core/spec/evaluation_task.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Runs the task on the model or artifact whose manifest is the blob `model`; with `reference` also on that one, for
// divergences. The result depends on manifests, dataset and task alone, not on threads or instruction set. Memory stays
// within what memory.h plans. INVALID_ARGUMENT at "task.<field>" or "line N.key"; the errors of
// CheckEvaluationModels, before anything is computed; CANCELLED through `progress`.
[[nodiscard]] absl::StatusOr<EvaluationResult> RunEvaluation(BlobStore& store, const Digest& model,
                                                             const std::optional<Digest>& reference,
                                                             const EvaluationTask& task, Progress& progress);

}  // namespace gwq
