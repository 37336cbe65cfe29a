// What an evaluation needs before it runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/spec/evaluation_task.h"
#include "core/storage/blob_store.h"

namespace gwq {

// Upper bound on a worker's resident memory, in bytes; docs/memory.md derives it. The errors are those of opening the
// model, the reference and the dataset, whose lines are not looked at, of CheckEvaluationTask and of
// CheckEvaluationModels, with `path` as what they call the task.
[[nodiscard]] absl::StatusOr<uint64_t> EvaluationMemory(BlobStore& store, const Digest& model,
                                                        const std::optional<Digest>& reference,
                                                        const EvaluationTask& task, std::string_view path = "task");

}  // namespace gwq
