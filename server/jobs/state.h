// What lives as long as gwq-jobs and is shared by its handlers.
#pragma once

#include "server/jobs/context.h"
#include "server/jobs/job_watchers.h"
#include "server/jobs/timers.h"
#include "server/jobs/upload_sessions.h"

namespace gwq {

struct JobsState {
  explicit JobsState(JobsContext with) : context(std::move(with)), sessions(context) {
    context.jobs.SetListener([this](const std::string& job_id) { watchers.Notify(job_id); });
  }
  ~JobsState() { context.jobs.SetListener(nullptr); }
  JobsState(const JobsState&) = delete;
  JobsState& operator=(const JobsState&) = delete;

  const JobsContext context;
  UploadSessions sessions;
  JobWatchers watchers;
  Timers timers;
};

}  // namespace gwq
