// Devices that wait for a job, so that a job goes to the smallest of them that holds it.
#pragma once

#include <cstdint>
#include <iterator>
#include <set>

#include "core/base/mutex.h"

namespace gwq {

// Thread-safe. A device joins before it asks for a job and leaves once it has one or no longer waits. Whoever calls
// Leave then tells the other devices to ask again: they may have left a job to this one.
class WaitingOffers {
 public:
  void Join(uint64_t memory_bytes) {
    MutexLock lock(mutex_);
    memories_.insert(memory_bytes);
  }
  void Leave(uint64_t memory_bytes) {
    MutexLock lock(mutex_);
    memories_.extract(memory_bytes);
  }
  // Jobs that need less than this are for a smaller device that waits too. 0 if there is none.
  [[nodiscard]] uint64_t MinBytesFor(uint64_t memory_bytes) const {
    MutexLock lock(mutex_);
    const auto mine = memories_.lower_bound(memory_bytes);
    return mine == memories_.begin() ? 0 : *std::prev(mine) + 1;
  }
  [[nodiscard]] size_t size() const {
    MutexLock lock(mutex_);
    return memories_.size();
  }

 private:
  mutable Mutex mutex_;
  std::multiset<uint64_t> memories_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
