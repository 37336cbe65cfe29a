// Turns between the engines that share one backend.
#pragma once

#include <cstdint>

#include "core/base/mutex.h"

namespace gwq {

// A lock that is granted in the order of asking. Engines take it for one step, so that loaded models share the compute
// threads step by step; a std::mutex would let the thread that just unlocked it win again. Thread-safe.
class Turnstile {
 public:
  // Held while alive.
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
