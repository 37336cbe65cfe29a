#include "core/engine/block_pool.h"

#include <algorithm>
#include <utility>

namespace gwq {

BlockPool::BlockPool(int64_t blocks, int64_t block_tokens)
    : block_tokens_(block_tokens), references_(static_cast<size_t>(blocks), 0) {
  free_.reserve(references_.size());
  for (int64_t block = blocks - 1; block >= 0; --block) free_.push_back(static_cast<int32_t>(block));
}

BlockTable::BlockTable(BlockTable&& other) noexcept : pool_(other.pool_), blocks_(std::exchange(other.blocks_, {})) {}

BlockTable& BlockTable::operator=(BlockTable&& other) noexcept {
  if (this != &other) {
    Clear();
    pool_ = other.pool_;
    blocks_ = std::exchange(other.blocks_, {});
  }
  return *this;
}

bool BlockTable::Cover(int64_t tokens) {
  const int64_t missing = pool_->BlocksFor(tokens) - static_cast<int64_t>(blocks_.size());
  if (missing > pool_->free()) return false;
  for (int64_t i = 0; i < missing; ++i) {
    const int32_t block = pool_->free_.back();
    pool_->free_.pop_back();
    pool_->references_[static_cast<size_t>(block)] = 1;
    blocks_.push_back(block);
  }
  return true;
}

BlockTable BlockTable::SharePrefix(int64_t blocks) const {
  BlockTable shared(*pool_);
  const auto count = std::min(static_cast<size_t>(blocks), blocks_.size());
  shared.blocks_.assign(blocks_.begin(), blocks_.begin() + static_cast<std::ptrdiff_t>(count));
  for (int32_t block : shared.blocks_) ++pool_->references_[static_cast<size_t>(block)];
  return shared;
}

void BlockTable::Clear() {
  for (int32_t block : blocks_) {
    if (--pool_->references_[static_cast<size_t>(block)] == 0) pool_->free_.push_back(block);
  }
  blocks_.clear();
}

}  // namespace gwq
