// Streams that follow a job: its states and its log.
#include <utility>

#include "core/base/status.h"
#include "server/common/handler.h"
#include "server/jobs/handlers/services.h"
#include "server/jobs/job_subscription.h"
#include "server/jobs/record_proto.h"
#include "server/jobs/resource_names.h"

namespace gwq {
namespace {

constexpr int kLinesAtOnce = 200;

template <class Request, class Response>
class FollowHandler : public WithState<JobsState&, ServerStreamHandler<Request, Response>> {
 public:
  using Base = WithState<JobsState&, ServerStreamHandler<Request, Response>>;
  FollowHandler(JobsState& state, const CallEnvironment& environment, std::string_view method, ServerContext* context,
                const Request* request)
      : Base(state, environment, method, context, request), subscription_(state.watchers) {}

 protected:
  // Sends what is new; ends the call after the job's last word. Not called while messages wait.
  virtual void SendNew(const Job& job) = 0;
  using Base::state_;
  std::string id_;

 private:
  void Open() final {
    auto id = IdOf("name", "jobs", this->request().name());
    if (!id.ok()) return this->End(id.status());
    id_ = *id;
    // Subscribed before the first look, so that no change falls between them.
    subscription_.Start(id_, this->shared_from_this(), [this] { Update(); });
    Update();
  }
  void Drained() final { Update(); }

  // A change while messages wait is seen when they have been written.
  void Update() {
    MutexLock lock(update_mutex_);
    if (this->ended() || this->queued() > 0) return;
    const auto job = state_.jobs.Get(this->principal(), id_);
    if (!job.ok()) return this->End(job.status());
    SendNew(*job);
  }

  JobSubscription subscription_;
  Mutex update_mutex_;
};

class WatchJobHandler final : public FollowHandler<v1::WatchJobRequest, v1::Job> {
 public:
  using FollowHandler::FollowHandler;

 private:
  void SendNew(const Job& job) override {
    if (job.version != sent_) {
      sent_ = job.version;
      Send(JobToProto(job));
    }
    if (!IsLive(job.state)) End(absl::OkStatus());
  }
  uint64_t sent_ = 0;
};

class ReadJobLogsHandler final : public FollowHandler<v1::ReadJobLogsRequest, v1::JobLogLine> {
 public:
  ReadJobLogsHandler(JobsState& state, const CallEnvironment& environment, std::string_view method,
                     ServerContext* context, const v1::ReadJobLogsRequest* request)
      : FollowHandler(state, environment, method, context, request), next_(request->first_index()) {}

 private:
  // `job` was read before the lines: when it had ended, they are all.
  void SendNew(const Job& job) override {
    const auto lines = state_.jobs.Logs(principal(), id_, next_, kLinesAtOnce);
    if (!lines.ok()) return End(lines.status());
    for (const JobLogLine& line : *lines) {
      v1::JobLogLine out;
      out.set_index(line.index);
      SetTime(line.wall_millis, *out.mutable_time());
      out.set_text(line.text);
      next_ = line.index + 1;
      Send(std::move(out));
    }
    if (lines->empty() && (!request().follow() || !IsLive(job.state))) End(absl::OkStatus());
  }
  uint64_t next_;
};

}  // namespace

grpc::ServerWriteReactor<v1::Job>* JobService::WatchJob(grpc::CallbackServerContext* context,
                                                        const v1::WatchJobRequest* request) {
  return Start<WatchJobHandler>("JobService/WatchJob", context, request);
}
grpc::ServerWriteReactor<v1::JobLogLine>* JobService::ReadJobLogs(grpc::CallbackServerContext* context,
                                                                  const v1::ReadJobLogsRequest* request) {
  return Start<ReadJobLogsHandler>("JobService/ReadJobLogs", context, request);
}

}  // namespace gwq
