// Tells waiting calls that a job changed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "core/base/mutex.h"

namespace gwq {

// Thread-safe. Callbacks run on the thread that called Notify and must only post.
class JobWatchers {
 public:
  // `job_id` empty: every job. Returns what Remove takes.
  [[nodiscard]] uint64_t Add(const std::string& job_id, std::function<void()> changed);
  // A callback may still run once after this returned.
  void Remove(uint64_t watcher);
  void Notify(const std::string& job_id);

 private:
  struct Watcher {
    std::string job_id;
    std::function<void()> changed;
  };
  Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, Watcher> watchers_ ABSL_GUARDED_BY(mutex_);
};

// Removes a watcher when it goes.
class JobWatch {
 public:
  JobWatch() = default;
  JobWatch(JobWatchers& watchers, const std::string& job_id, std::function<void()> changed)
      : watchers_(&watchers), id_(watchers.Add(job_id, std::move(changed))) {}
  ~JobWatch() {
    if (watchers_ != nullptr) watchers_->Remove(id_);
  }
  JobWatch(const JobWatch&) = delete;
  JobWatch& operator=(JobWatch&& other) noexcept {
    std::swap(watchers_, other.watchers_);
    std::swap(id_, other.id_);
    return *this;
  }

 private:
  JobWatchers* watchers_ = nullptr;
  uint64_t id_ = 0;
};

}  // namespace gwq
