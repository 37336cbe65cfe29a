// A unary call that ends when something about the jobs is as it asked, or its time is over.
#pragma once

#include "server/jobs/job_watch.h"
#include "server/jobs/jobs_handler.h"

namespace gwq {

template <class Request, class Response>
class WaitingHandler : public UnaryHandler<Request, Response> {
 public:
  WaitingHandler(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context,
                 const Request* request, Response* response, JobsState& state)
      : UnaryHandler<Request, Response>(environment, method, context, request, response), state_(state) {}
  ~WaitingHandler() override { state_.timers.Cancel(timer_); }

 protected:
  // Looks, and fills the response where it is time to answer; true then. Never beside itself.
  [[nodiscard]] virtual absl::StatusOr<bool> Look() = 0;
  // What the call answers when its time is over or the service goes down.
  [[nodiscard]] virtual absl::Status TimeOver() = 0;
  // Begins: looks at once, then after every change of `job_id` (empty: of any job), for at most `millis`.
  void WaitFor(const std::string& job_id, int64_t millis) {
    const auto weak = this->weak_from_this();
    const auto post = [weak](void (WaitingHandler::*then)()) {
      if (const auto self = weak.lock()) {
        self->Post([raw = static_cast<WaitingHandler*>(self.get()), then] { (raw->*then)(); });
      }
    };
    watch_ = JobWatch(state_.watchers, job_id,
                      [post](bool closing) { post(closing ? &WaitingHandler::GiveUp : &WaitingHandler::Check); });
    if (millis > 0) timer_ = state_.timers.After(millis, [post] { post(&WaitingHandler::GiveUp); });
    Check();
    if (millis <= 0) GiveUp();
  }

  JobsState& state_;

 private:
  void Check() {
    MutexLock lock(looking_);
    if (this->ended()) return;
    const absl::StatusOr<bool> found = Look();
    if (!found.ok()) return this->End(found.status());
    if (*found) this->End(absl::OkStatus());
  }
  void GiveUp() {
    MutexLock lock(looking_);
    if (!this->ended()) this->End(TimeOver());
  }

  Mutex looking_;
  JobWatch watch_;
  uint64_t timer_ = 0;
};

}  // namespace gwq
