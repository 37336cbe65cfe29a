// Large blocks of memory that are taken and given back over and over in the same sizes, as the tensors of one step of a
// calculation and the next.
//
// An allocator that maps large blocks has the system clear each page again, every time: a quarter of the time of a
// calibration. One that keeps them in a heap leaves holes that aligned blocks do not fill.
#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "core/base/mutex.h"

namespace gwq {

// Thread-safe.
class BlockCache {
 public:
  // `spare` bytes may lie unused whatever was used before.
  explicit BlockCache(size_t spare) : spare_(spare) {}
  // All blocks have been given back.
  ~BlockCache();
  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

  // At least `bytes`, which are more than 0, at an address that is a multiple of the page size; what they hold is left
  // over from before. Null if the system has no more.
  //
  // A block that was given back is taken if it is at most an eighth larger. Else a new one is mapped, and the blocks
  // that lie unused longest go back to the system until as many bytes have, or no more than `spare` lie unused. So all
  // blocks together hold at most `spare` more than those in use, or (but for that eighth) what those in use held at
  // some time since the last Release.
  [[nodiscard]] void* Take(size_t bytes);
  // False, and nothing is done, if `block` is not in use by this cache.
  bool Give(void* block);
  // Unused blocks go back to the system.
  void Release();

  [[nodiscard]] size_t unused_bytes() const;

 private:
  struct Block {
    void* begin = nullptr;
    size_t bytes = 0;
  };

  std::vector<Block> Evict(size_t bytes) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t spare_;
  mutable Mutex mutex_;
  std::vector<Block> unused_ ABSL_GUARDED_BY(mutex_);  // the last one was given back last
  size_t unused_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<void*, size_t> used_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
