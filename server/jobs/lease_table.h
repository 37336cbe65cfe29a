// Which worker works on what, so that a worker's death frees its job at once and not when the lease runs out.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/base/mutex.h"

namespace gwq {

// Thread-safe.
class LeaseTable {
 public:
  struct Held {
    std::string job;
    uint64_t fencing_token = 0;
  };
  void Set(const std::string& worker, Held held) {
    MutexLock lock(mutex_);
    held_[worker] = std::move(held);
  }
  // Forgets the worker's job where it is this one.
  void Drop(const std::string& worker, const std::string& job) {
    MutexLock lock(mutex_);
    const auto found = held_.find(worker);
    if (found != held_.end() && found->second.job == job) held_.erase(found);
  }
  // Forgets the job, whoever held it.
  void Drop(const std::string& job) {
    MutexLock lock(mutex_);
    std::erase_if(held_, [&](const auto& entry) { return entry.second.job == job; });
  }
  [[nodiscard]] bool Holds(const std::string& worker) const {
    MutexLock lock(mutex_);
    return held_.contains(worker);
  }
  [[nodiscard]] std::optional<Held> Take(const std::string& worker) {
    MutexLock lock(mutex_);
    const auto found = held_.find(worker);
    if (found == held_.end()) return std::nullopt;
    Held held = std::move(found->second);
    held_.erase(found);
    return held;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, Held> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
