#include "core/base/block_cache.h"

#include <sys/mman.h>
#include <unistd.h>

#include <utility>

namespace gwq {
namespace {

size_t Pages(size_t bytes) {
  static const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return (bytes + page - 1) / page * page;
}

}  // namespace

BlockCache::~BlockCache() { Release(); }

void* BlockCache::Take(size_t bytes) {
  const size_t wanted = Pages(bytes);
  if (wanted < bytes) return nullptr;
  std::vector<Block> evicted;
  {
    const MutexLock lock(mutex_);
    size_t best = unused_.size();
    for (size_t i = unused_.size(); i-- > 0;) {
      const size_t size = unused_[i].bytes;
      if (size >= wanted && size - wanted <= wanted / 8 && (best == unused_.size() || size < unused_[best].bytes)) {
        best = i;
      }
    }
    if (best < unused_.size()) {
      const Block block = unused_[best];
      unused_.erase(unused_.begin() + static_cast<std::ptrdiff_t>(best));
      unused_bytes_ -= block.bytes;
      used_.emplace(block.begin, block.bytes);
      return block.begin;
    }
    evicted = Evict(wanted);
  }
  // The system is not called with the mutex held: clearing up a large block takes long.
  for (const Block& block : evicted) munmap(block.begin, block.bytes);
  void* const begin = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) return nullptr;
  const MutexLock lock(mutex_);
  used_.emplace(begin, wanted);
  return begin;
}

std::vector<BlockCache::Block> BlockCache::Evict(size_t bytes) {
  size_t count = 0, freed = 0;
  while (count < unused_.size() && freed < bytes && unused_bytes_ - freed > spare_) freed += unused_[count++].bytes;
  const auto end = unused_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Block> out(unused_.begin(), end);
  unused_.erase(unused_.begin(), end);
  unused_bytes_ -= freed;
  return out;
}

bool BlockCache::Give(void* block) {
  const MutexLock lock(mutex_);
  const auto used = used_.find(block);
  if (used == used_.end()) return false;
  unused_.push_back({block, used->second});
  unused_bytes_ += used->second;
  used_.erase(used);
  return true;
}

void BlockCache::Release() {
  std::vector<Block> all;
  {
    const MutexLock lock(mutex_);
    all = std::exchange(unused_, {});
    unused_bytes_ = 0;
  }
  for (const Block& block : all) munmap(block.begin, block.bytes);
}

size_t BlockCache::unused_bytes() const {
  const MutexLock lock(mutex_);
  return unused_bytes_;
}

}  // namespace gwq
