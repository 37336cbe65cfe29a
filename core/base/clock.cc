#include "core/base/clock.h"

#include <chrono>

namespace gwq {
namespace {

class MachineClock final : public Clock {
 public:
  int64_t MonotonicMillis() const override { return Millis(std::chrono::steady_clock::now()); }
  int64_t WallMillis() const override { return Millis(std::chrono::system_clock::now()); }

 private:
  template <class TimePoint>
  static int64_t Millis(TimePoint now) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  }
};

constexpr int64_t kFakeWallOrigin = 1'700'000'000'000;

}  // namespace

const Clock& SystemClock() {
  static const MachineClock clock;
  return clock;
}

int64_t FakeClock::MonotonicMillis() const {
  MutexLock lock(mutex_);
  return elapsed_;
}

int64_t FakeClock::WallMillis() const { return kFakeWallOrigin + MonotonicMillis(); }

void FakeClock::Advance(int64_t milliseconds) {
  MutexLock lock(mutex_);
  elapsed_ += milliseconds;
}

}  // namespace gwq
