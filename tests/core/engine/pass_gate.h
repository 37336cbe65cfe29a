// Holds passes back until they are let through, so that a test decides when a step happens.
#pragma once

#include "core/base/mutex.h"

namespace gwq {

// Thread-safe.
class PassGate {
 public:
  // Called at the start of a pass.
  void Pass() {
    MutexLock lock(mutex_);
    ++arrived_;
    changed_.NotifyAll();
    while (!open_ && allowed_ == 0) changed_.Wait(mutex_);
    if (!open_) --allowed_;
  }
  void WaitArrived(int passes) {
    MutexLock lock(mutex_);
    while (arrived_ < passes) changed_.Wait(mutex_);
  }
  // Lets one pass through, and waits until the next one has come.
  void Step() {
    MutexLock lock(mutex_);
    const int next = arrived_ + 1;
    ++allowed_;
    changed_.NotifyAll();
    while (arrived_ < next) changed_.Wait(mutex_);
  }
  void Open() {
    MutexLock lock(mutex_);
    open_ = true;
    changed_.NotifyAll();
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  int allowed_ ABSL_GUARDED_BY(mutex_) = 0;
  int arrived_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace gwq
