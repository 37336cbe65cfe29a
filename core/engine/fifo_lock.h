// A lock with turns, for the engines that share one backend.
#pragma once

#include <cstdint>

#include "core/base/mutex.h"

namespace gwq {

// A lock that threads get in the order of asking. Engines take it for one step, so that loaded models share the compute
// threads step by step. With a std::mutex the thread that has just unlocked it would often win again. Thread-safe.
class FifoLock {
 public:
  // Holds the lock during its life.
  class Guard {
   public:
    explicit Guard(FifoLock& fifo_lock) : fifo_lock_(fifo_lock) { fifo_lock_.Acquire(); }
    ~Guard() { fifo_lock_.Release(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    FifoLock& fifo_lock_;
  };

 private:
  void Acquire();
  void Release();

  Mutex mutex_;
  CondVar changed_;
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t serving_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq
