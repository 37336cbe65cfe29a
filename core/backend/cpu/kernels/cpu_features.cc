#include "core/backend/cpu/kernels/cpu_features.h"

#include <fmt/format.h>

namespace gwq {

std::string_view IsaLevelName(IsaLevel level) {
  switch (level) {
    case IsaLevel::kScalar:
      return "scalar";
    case IsaLevel::kAvx2:
      return "avx2";
    case IsaLevel::kAvx512:
      return "avx512";
  }
  return "unknown";
}

absl::StatusOr<IsaLevel> ParseIsaLevel(std::string_view name) {
  for (IsaLevel level : {IsaLevel::kScalar, IsaLevel::kAvx2, IsaLevel::kAvx512}) {
    if (IsaLevelName(level) == name) return level;
  }
  return absl::InvalidArgumentError(
      fmt::format("unknown instruction set '{}'; use scalar, avx2 or avx512", name.substr(0, 32)));
}

bool IsSupported(IsaLevel level) {
  // The builtins ask CPUID and XGETBV: a level counts only where the operating system saves its registers.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  switch (level) {
    case IsaLevel::kScalar:
      return true;
    case IsaLevel::kAvx2:
      return avx2;
    case IsaLevel::kAvx512:
      return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
  return false;
}

std::vector<IsaLevel> SupportedIsaLevels() {
  std::vector<IsaLevel> levels;
  for (IsaLevel level : {IsaLevel::kScalar, IsaLevel::kAvx2, IsaLevel::kAvx512}) {
    if (IsSupported(level)) levels.push_back(level);
  }
  return levels;
}

IsaLevel BestIsaLevel() { return SupportedIsaLevels().back(); }

}  // namespace gwq
