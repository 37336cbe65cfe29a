#include "core/engine/turnstile.h"

namespace gwq {

void Turnstile::Enter() {
  MutexLock lock(mutex_);
  const uint64_t ticket = next_ticket_++;
  while (serving_ != ticket) changed_.Wait(mutex_);
}

void Turnstile::Leave() {
  {
    MutexLock lock(mutex_);
    ++serving_;
  }
  changed_.NotifyAll();
}

}  // namespace gwq
