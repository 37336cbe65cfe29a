// A watcher that is removed with its owner.
#pragma once

#include <utility>

#include "server/jobs/job_watchers.h"

namespace gwq {

class JobWatch {
 public:
  JobWatch() = default;
  JobWatch(JobWatchers& watchers, const std::string& job_id, JobWatchers::Callback callback)
      : watchers_(&watchers), id_(watchers.Add(job_id, std::move(callback))) {}
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
