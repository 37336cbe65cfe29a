// What an evaluation needs before it runs.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"
#include "core/format/packed_matrix.h"
#include "core/spec/evaluation_task.h"
#include "core/storage/blob_store.h"

namespace gwq {

// What matrices of a model will be stored as, by tensor.
using PlannedShapes = std::map<std::string, PackedShape, std::less<>>;

// Upper bound on a worker's resident memory, in bytes; docs/memory.md derives it. With `planned` it is the bound for an
// artifact of `model` that does not exist yet. The errors are those of opening the
// model, the reference and the dataset, whose lines are not looked at, of CheckEvaluationTask and of
// CheckEvaluationModels, with `path` as what they call the task; UNIMPLEMENTED for a packed matrix that the host's
// backend does not run.
[[nodiscard]] absl::StatusOr<uint64_t> EvaluationMemory(BlobStore& store, const Digest& model,
                                                        const std::optional<Digest>& reference,
                                                        const EvaluationTask& task, std::string_view path = "task",
                                                        const PlannedShapes* planned = nullptr);

// The same for MeasureDecodeSpeed (decode_speed.h) on `model`, or on an artifact of it with `planned`.
[[nodiscard]] absl::StatusOr<uint64_t> DecodeSpeedMemory(BlobStore& store, const Digest& model,
                                                         const PlannedShapes* planned = nullptr);

}  // namespace gwq
