// The tokens that a text evaluation reads.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/spec/evaluation_task.h"
#include "core/storage/blob_store.h"

namespace gwq {

// The first `task.tokens` of the task's text, as the model's tokenizer makes them; two at least. The tokenizer's memory
// is gone when this returns. INVALID_ARGUMENT at `path` + ".text" if there are fewer; without a field for a token
// outside the model's vocabulary; the errors of StoredDataset and ModelText.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> TextTaskTokens(BlobStore& store, const StoredModel& model,
                                                                  const EvaluationTask& task, std::string_view path);

}  // namespace gwq
