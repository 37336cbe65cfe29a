// Whether a quantization is measured on what it is calibrated with.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "core/spec/evaluation_task.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"

namespace gwq {

// INVALID_ARGUMENT at the field of `evaluations` whose text or dataset is also the calibration's, naming both: the same
// inline text, the same dataset, or the same .jsonl or .txt file by its digest, whatever it is called. Texts that only
// share some part are not found. The errors of the store for a dataset that cannot be read.
[[nodiscard]] absl::Status CheckTextsApart(BlobStore& store, const Recipe& recipe,
                                           const std::vector<EvaluationTask>& evaluations);

}  // namespace gwq
