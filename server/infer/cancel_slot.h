// Connects a call's cancel with its request in the engine; either may come first.
#pragma once

#include <memory>
#include <utility>

#include "core/base/mutex.h"
#include "core/engine/engine.h"

namespace gwq {

// Thread-safe.
class CancelSlot {
 public:
  void Set(std::shared_ptr<GenerationHandle> handle) {
    bool cancelled;
    {
      MutexLock lock(mutex_);
      handle_ = std::move(handle);
      cancelled = cancelled_;
    }
    if (cancelled) Get()->Cancel();
  }
  void Cancel() {
    {
      MutexLock lock(mutex_);
      cancelled_ = true;
    }
    if (const auto handle = Get()) handle->Cancel();
  }
  void Resume() {
    if (const auto handle = Get()) handle->Resume();
  }

 private:
  std::shared_ptr<GenerationHandle> Get() {
    MutexLock lock(mutex_);
    return handle_;
  }

  Mutex mutex_;
  std::shared_ptr<GenerationHandle> handle_ ABSL_GUARDED_BY(mutex_);
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace gwq
