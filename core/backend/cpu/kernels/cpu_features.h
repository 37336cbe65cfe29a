// Which kernels this processor can run.
#pragma once

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

// Results are bitwise equal on all of them.
enum class IsaLevel { kScalar, kAvx2, kAvx512 };

[[nodiscard]] std::string_view IsaLevelName(IsaLevel level);  // "scalar", "avx2", "avx512"
// INVALID_ARGUMENT on another name.
[[nodiscard]] absl::StatusOr<IsaLevel> ParseIsaLevel(std::string_view name);
// From CPUID and what the operating system saves: AVX2 with FMA and F16C; AVX-512 F, BW, DQ and VL beside those.
[[nodiscard]] bool IsSupported(IsaLevel level);
// The highest supported level; every supported one, low to high.
[[nodiscard]] IsaLevel BestIsaLevel();
[[nodiscard]] std::vector<IsaLevel> SupportedIsaLevels();

}  // namespace gwq
