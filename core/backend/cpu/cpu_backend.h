// Kernels for x86-64 processors over packed and dense weights; nothing is ever unpacked beyond a block of a tile.
#pragma once

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/backend/cpu/kernels/cpu_features.h"

namespace gwq {

struct CpuBackendOptions {
  int threads = 1;              // 1 to 1024, the caller's included; results do not depend on it
  std::optional<IsaLevel> isa;  // the best one if unset; results do not depend on it
};

// INVALID_ARGUMENT for a number of threads out of range; UNIMPLEMENTED for an instruction set this machine lacks.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Backend>> CreateCpuBackend(const CpuBackendOptions& options);

}  // namespace gwq
