// Calls something later, on one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <thread>

#include "core/base/mutex.h"

namespace gwq {

// Thread-safe. What it calls must not block: it posts. The destructor drops what has not come.
class Timers {
 public:
  Timers();
  ~Timers();
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  // An id that is not given twice.
  uint64_t After(int64_t milliseconds, std::function<void()> task);
  void Cancel(uint64_t timer);

 private:
  using Time = std::chrono::steady_clock::time_point;
  void Run();

  Mutex mutex_;
  CondVar changed_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<std::pair<Time, uint64_t>, std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace gwq
