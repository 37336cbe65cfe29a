// Which sequence holds which block of a KV cache. Blocks have reference counts, so that sequences can share a prefix.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/models/cache_shape.h"

namespace gwq {

// The free list of a cache of `blocks` blocks. Blocks are taken and returned by BlockTable alone. Not thread-safe: it
// belongs to the thread that runs the steps.
class BlockPool {
 public:
  BlockPool(int64_t blocks, int64_t block_tokens);

  [[nodiscard]] int64_t total() const { return static_cast<int64_t>(references_.size()); }
  [[nodiscard]] int64_t free() const { return static_cast<int64_t>(free_.size()); }
  [[nodiscard]] int64_t block_tokens() const { return block_tokens_; }
  // Blocks that cover `tokens` tokens.
  [[nodiscard]] int64_t BlocksFor(int64_t tokens) const { return CacheBlocksFor(tokens, block_tokens_); }
  // Tables that hold `block`; 0 for a free one.
  [[nodiscard]] int references(int32_t block) const { return references_[static_cast<size_t>(block)]; }

 private:
  friend class BlockTable;
  const int64_t block_tokens_;
  std::vector<int> references_;  // by block
  std::vector<int32_t> free_;    // a stack: the block returned last is warm in the processor's cache
};

// The blocks of one sequence, in the order of its tokens. Move-only; gives its blocks back when destroyed, before its
// pool is. Not thread-safe.
class BlockTable {
 public:
  BlockTable() = default;
  explicit BlockTable(BlockPool& pool) : pool_(&pool) {}
  BlockTable(BlockTable&& other) noexcept;
  BlockTable& operator=(BlockTable&& other) noexcept;
  ~BlockTable() { Clear(); }

  // Grows until the table covers `tokens` tokens. Returns false and changes nothing if the pool has too few free
  // blocks.
  [[nodiscard]] bool Cover(int64_t tokens);
  // A second table that holds the first `blocks` blocks together with this one. They must be full: appending to a block
  // that others hold would write into their sequence.
  [[nodiscard]] BlockTable SharePrefix(int64_t blocks) const;
  // Gives everything back.
  void Clear();

  [[nodiscard]] std::span<const int32_t> blocks() const { return blocks_; }

 private:
  BlockPool* pool_ = nullptr;
  std::vector<int32_t> blocks_;
};

}  // namespace gwq
