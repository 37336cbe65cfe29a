// A clock that tests can replace. Leases and deadlines use monotonic time; records that people read use wall time.
#pragma once

#include <cstdint>

#include "core/base/mutex.h"

namespace gwq {

class Clock {
 public:
  virtual ~Clock() = default;
  // Milliseconds of a clock that never goes back, from an arbitrary origin. Thread-safe.
  [[nodiscard]] virtual int64_t MonotonicMillis() const = 0;
  // Milliseconds since 1970-01-01 UTC. Thread-safe.
  [[nodiscard]] virtual int64_t WallMillis() const = 0;
};

// The machine's clocks. The object is never destroyed.
[[nodiscard]] const Clock& SystemClock();

// A clock that moves only when a test advances it. Thread-safe.
class FakeClock final : public Clock {
 public:
  [[nodiscard]] int64_t MonotonicMillis() const override;
  [[nodiscard]] int64_t WallMillis() const override;
  void Advance(int64_t milliseconds);

 private:
  mutable Mutex mutex_;
  int64_t elapsed_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq
