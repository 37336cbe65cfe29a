#include "server/jobs/job_watchers.h"

#include <vector>

namespace gwq {

uint64_t JobWatchers::Add(const std::string& job_id, Callback callback) {
  uint64_t watcher = 0;
  {
    MutexLock lock(mutex_);
    watcher = next_++;
    if (!closed_) {
      watchers_.emplace(watcher, std::make_pair(job_id, std::move(callback)));
      return watcher;
    }
  }
  callback(/*closing=*/true);
  return watcher;
}

void JobWatchers::Remove(uint64_t watcher) {
  MutexLock lock(mutex_);
  watchers_.erase(watcher);
}

void JobWatchers::Notify(const std::string& job_id) {
  std::vector<Callback> callbacks;
  {
    MutexLock lock(mutex_);
    for (const auto& [watcher, entry] : watchers_) {
      if (entry.first.empty() || entry.first == job_id) callbacks.push_back(entry.second);
    }
  }
  for (const Callback& callback : callbacks) callback(/*closing=*/false);
}

void JobWatchers::Close() {
  std::map<uint64_t, std::pair<std::string, Callback>> watchers;
  {
    MutexLock lock(mutex_);
    closed_ = true;
    watchers.swap(watchers_);
  }
  for (const auto& [watcher, entry] : watchers) entry.second(/*closing=*/true);
}

}  // namespace gwq
