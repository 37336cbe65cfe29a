// A lock with turns, for the engines that share one backend.
#pragma once

#include <cstdint>

#include "core/base/mutex.h"

namespace gwq {

// A lock that threads get in the order of asking. Engines take it for one step, so that loaded models share the compute
// threads step by step. With a std::mutex the thread that has just unlocked it would often win again. Thread-safe.
class Turnstile {
 public:
  // Holds the lock during its life.
  class Turn {
   public:
    explicit Turn(Turnstile& turnstile) : turnstile_(turnstile) { turnstile_.Enter(); }
    ~Turn() { turnstile_.Leave(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    Turnstile& turnstile_;
  };

 private:
  void Enter();
  void Leave();

  Mutex mutex_;
  CondVar changed_;
  uint64_t next_ticket_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t serving_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq
