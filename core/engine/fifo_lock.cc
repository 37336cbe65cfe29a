#include "core/engine/fifo_lock.h"

namespace gwq {

void FifoLock::Acquire() {
  MutexLock lock(mutex_);
  const uint64_t ticket = next_ticket_++;
  while (serving_ != ticket) changed_.Wait(mutex_);
}

void FifoLock::Release() {
  {
    MutexLock lock(mutex_);
    ++serving_;
  }
  changed_.NotifyAll();
}

}  // namespace gwq
