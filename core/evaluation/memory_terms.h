// Terms that the memory bounds of evaluations and of quantizations share; docs/memory.md explains them. Internal to
// core/evaluation/memory.cc and core/quant/peak_memory.cc.
#pragma once

#include <cstdint>

#include "core/models/config.h"

namespace gwq::memory_terms {

// Program, LibTorch with its thread pools, allocator slack.
inline constexpr uint64_t kConstantBytes = uint64_t{384} << 20;
// A tokenizer in memory, as a multiple of its tokenizer.json.
inline constexpr uint64_t kTokenizerFactor = 24;
// Copies of each [tokens, width] value of a block that its forward pass keeps, or that kernels work in.
inline constexpr uint64_t kForwardCopies = 3;
// Rows of logits alive at a time, and how many copies of them.
inline constexpr uint64_t kLogitRows = 64;
inline constexpr uint64_t kLogitCopies = 4;
// Decoding and preparing one image: pixels as they came and resized, patches, and the tower's pass over them.
inline constexpr uint64_t kImageBytes = uint64_t{768} << 20;

[[nodiscard]] constexpr uint64_t Unsigned(int64_t value) { return static_cast<uint64_t>(value); }

// Bytes of dense weights as a kernel's layout may take them: a quarter more than what is stored.
[[nodiscard]] constexpr uint64_t Laid(uint64_t stored) { return stored * 5 / 4; }

// Floats of all [1, width] values of one block's pass.
[[nodiscard]] inline uint64_t Widths(const ModelConfig& config) {
  const int64_t heads = config.attention.heads + 2 * config.attention.kv_heads;
  return Unsigned(4 * config.hidden_size + 3 * config.intermediate_size + 2 * heads * config.attention.head_dim);
}

}  // namespace gwq::memory_terms
