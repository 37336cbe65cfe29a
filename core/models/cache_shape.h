// The one place that shapes a KV cache for a model.
#pragma once

#include <cstdint>

#include "core/backend/batch.h"
#include "core/models/config.h"

namespace gwq {

// Tokens whose keys and values one block holds.
inline constexpr int64_t kCacheBlockTokens = KvCacheShape{}.block_tokens;

// Blocks that hold `tokens` tokens.
[[nodiscard]] constexpr int64_t CacheBlocksFor(int64_t tokens, int64_t block_tokens = kCacheBlockTokens) {
  return (tokens + block_tokens - 1) / block_tokens;
}

// `layers` is config.blocks where a sequence goes through the whole model, and 1 if one block at a time runs over
// all sequences.
[[nodiscard]] inline KvCacheShape CacheShapeFor(const ModelConfig& config, int layers, int64_t blocks) {
  KvCacheShape shape;
  shape.layers = layers;
  shape.kv_heads = config.attention.kv_heads;
  shape.head_dim = config.attention.head_dim;
  shape.block_tokens = kCacheBlockTokens;
  shape.blocks = blocks;
  return shape;
}

// Bytes of the keys and values of one token in `layers` layers, which are kept in float32.
[[nodiscard]] inline int64_t CacheTokenBytes(const ModelConfig& config, int layers) {
  return 2 * layers * config.attention.kv_heads * config.attention.head_dim * static_cast<int64_t>(sizeof(float));
}

}  // namespace gwq
