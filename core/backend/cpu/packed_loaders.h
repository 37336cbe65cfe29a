// The stored formats that CpuBackend runs, and how a matrix of each becomes tiles.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/backend/cpu/cpu_weight.h"
#include "core/backend/cpu/weight_memory.h"
#include "core/format/packed_matrix.h"

namespace gwq {

// UNIMPLEMENTED naming the format if the table in packed_loaders.cc lacks it; RESOURCE_EXHAUSTED if the memory
// cannot be had.
[[nodiscard]] absl::StatusOr<std::unique_ptr<CpuWeight>> LoadPackedWeight(const PackedView& view, WeightMemory& memory);

// UNIMPLEMENTED as above, and for a width of codes that no kernel reads.
[[nodiscard]] absl::StatusOr<LoadedBytes> PackedWeightBytes(const PackedShape& shape);

}  // namespace gwq
