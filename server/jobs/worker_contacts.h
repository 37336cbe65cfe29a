// When each worker process of this service was last at work, so that one that hangs between two jobs is noticed: it
// holds no lease that could run out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/base/mutex.h"
#include "server/jobs/lease_table.h"

namespace gwq {

// Thread-safe. Knows the workers that it was told were started; of others, which come from elsewhere, it keeps nothing.
class WorkerContacts {
 public:
  // `clock` outlives the object.
  explicit WorkerContacts(const Clock& clock) : clock_(clock) {}

  static constexpr int64_t kStarts = 5;

  void Started(const std::string& worker) {
    MutexLock lock(mutex_);
    contacts_[worker] = {.last = clock_.MonotonicMillis()};
  }
  void Ended(const std::string& worker) {
    MutexLock lock(mutex_);
    contacts_.erase(worker);
  }
  // A call for a job begins, or has ended.
  void AsksForJob(const std::string& worker) { Count(worker, 1); }
  void HasAsked(const std::string& worker) { Count(worker, -1); }

  // Workers that neither wait for a job nor hold a lease, and have not for `millis`; before their first call for
  // kStarts times as long, since a program may come from a slow disk. To be called more often than that: a lease counts
  // when it is seen.
  [[nodiscard]] std::vector<std::string> SilentFor(int64_t millis, const LeaseTable& leases) {
    const int64_t now = clock_.MonotonicMillis();
    std::vector<std::string> silent;
    MutexLock lock(mutex_);
    for (auto& [worker, contact] : contacts_) {
      if (contact.open_calls > 0 || leases.Holds(worker)) contact.last = now;
      if (now - contact.last >= (contact.heard ? millis : kStarts * millis)) silent.push_back(worker);
    }
    return silent;
  }

 private:
  struct Contact {
    int64_t last = 0;  // monotonic milliseconds
    int open_calls = 0;
    bool heard = false;
  };
  void Count(const std::string& worker, int change) {
    MutexLock lock(mutex_);
    const auto found = contacts_.find(worker);
    if (found == contacts_.end()) return;
    found->second.last = clock_.MonotonicMillis();
    found->second.heard = true;
    // A call may have begun before its worker was told of.
    found->second.open_calls = std::max(0, found->second.open_calls + change);
  }

  const Clock& clock_;
  Mutex mutex_;  // before the lease table's
  std::map<std::string, Contact> contacts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
