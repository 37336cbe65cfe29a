// A call's place among the watchers of a job, given up with the call.
#pragma once

#include <memory>
#include <string>

#include "server/common/call.h"
#include "server/jobs/job_watchers.h"

namespace gwq {

class JobSubscription {
 public:
  explicit JobSubscription(JobWatchers& watchers) : watchers_(watchers) {}
  ~JobSubscription() { watchers_.Remove(watcher_); }
  JobSubscription(const JobSubscription&) = delete;
  JobSubscription& operator=(const JobSubscription&) = delete;

  // Posts `changed` on the call's executor at each change of the job; ends the call when the service drains. Once.
  void Start(const std::string& job_id, const std::shared_ptr<Call>& call, std::function<void()> changed) {
    watcher_ = watchers_.Add(job_id, [weak = std::weak_ptr<Call>(call), changed = std::move(changed)](bool closing) {
      const std::shared_ptr<Call> call = weak.lock();
      if (call == nullptr || call->ended()) return;
      if (closing) return call->End(absl::UnavailableError("the service is shutting down; ask again"));
      call->Post(changed);
    });
  }

 private:
  JobWatchers& watchers_;
  uint64_t watcher_ = 0;
};

}  // namespace gwq
