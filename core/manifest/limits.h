// What bounds the memory that a manifest and its small files can cost.
#pragma once

#include <cstdint>

namespace gwq {

inline constexpr uint64_t kMaxManifestBytes = 100'000'000;
inline constexpr int kMaxManifestDepth = 16;  // levels of its JSON
inline constexpr uint64_t kMaxSmallFileBytes = uint64_t{64} << 20;

}  // namespace gwq
