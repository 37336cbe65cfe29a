// Who waits for a job to change.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "core/base/mutex.h"

namespace gwq {

// Thread-safe. Callbacks run on the thread of the change, without any lock: they only post.
class JobWatchers {
 public:
  // `closing` is true when the service drains: the watcher should end.
  using Callback = std::function<void(bool closing)>;

  // Ends with Remove, or with the object. An empty job id watches them all. After Close the callback is called at once.
  [[nodiscard]] uint64_t Add(const std::string& job_id, Callback callback);
  void Remove(uint64_t watcher);

  // An empty id tells those alone that watch them all.
  void Notify(const std::string& job_id);
  // Tells everybody, now and later, to end.
  void Close();

 private:
  Mutex mutex_;
  uint64_t next_ ABSL_GUARDED_BY(mutex_) = 1;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<uint64_t, std::pair<std::string, Callback>> watchers_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
