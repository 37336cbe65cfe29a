#include "server/jobs/timers.h"

namespace gwq {

Timers::Timers() : thread_([this] { Run(); }) {}

Timers::~Timers() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

uint64_t Timers::After(int64_t milliseconds, std::function<void()> task) {
  uint64_t id = 0;
  {
    MutexLock lock(mutex_);
    id = next_++;
    tasks_.emplace(std::make_pair(std::chrono::steady_clock::now() + std::chrono::milliseconds(milliseconds), id),
                   std::move(task));
  }
  changed_.NotifyAll();
  return id;
}

void Timers::Cancel(uint64_t timer) {
  std::function<void()> dropped;  // destroyed outside the lock: it may hold the last reference to a call
  MutexLock lock(mutex_);
  for (auto task = tasks_.begin(); task != tasks_.end(); ++task) {
    if (task->first.second != timer) continue;
    dropped = std::move(task->second);
    tasks_.erase(task);
    return;
  }
}

void Timers::Run() {
  for (;;) {
    std::function<void()> task;
    {
      MutexLock lock(mutex_);
      while (!stop_ && (tasks_.empty() || tasks_.begin()->first.first > std::chrono::steady_clock::now())) {
        if (tasks_.empty()) {
          changed_.Wait(mutex_);
        } else {
          (void)changed_.WaitUntil(mutex_, tasks_.begin()->first.first);
        }
      }
      if (stop_) return;
      task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
    }
    task();
  }
}

}  // namespace gwq
