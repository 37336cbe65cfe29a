#include "server/jobs/job_watchers.h"

#include <vector>

namespace gwq {

uint64_t JobWatchers::Add(const std::string& job_id, std::function<void()> changed) {
  MutexLock lock(mutex_);
  watchers_.emplace(next_, Watcher{job_id, std::move(changed)});
  return next_++;
}

void JobWatchers::Remove(uint64_t watcher) {
  MutexLock lock(mutex_);
  watchers_.erase(watcher);
}

void JobWatchers::Notify(const std::string& job_id) {
  std::vector<std::function<void()>> told;
  {
    MutexLock lock(mutex_);
    for (const auto& [id, watcher] : watchers_) {
      if (watcher.job_id.empty() || watcher.job_id == job_id) told.push_back(watcher.changed);
    }
  }
  for (const auto& changed : told) changed();
}

}  // namespace gwq
