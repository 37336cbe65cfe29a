// What kinds of jobs plan of memory apart from tensors; private to the kinds.
#pragma once

#include <cstdint>

#include "core/quant/plan.h"

namespace gwq {

// Process, libraries and the buffers of a step that streams: measured at under 160 MB for the import of SmolLM2.
inline constexpr uint64_t kStreamingBytes = uint64_t{256} << 20;

// A manifest is parsed twice at most; its tree takes a few times its text.
[[nodiscard]] inline uint64_t ManifestMemory(uint64_t manifest_bytes) { return 8 * manifest_bytes; }

[[nodiscard]] inline Plan MemoryAlone(uint64_t bytes) {
  Plan plan;
  plan.peak_memory_bytes = bytes;
  return plan;
}

}  // namespace gwq
