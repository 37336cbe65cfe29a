// The base of every RPC handler, unary or streaming: authentication, executor, exactly one end, metrics and a log line.
#pragma once

#include <grpcpp/server_context.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "core/base/mutex.h"
#include "core/base/thread_pool.h"
#include "server/common/authenticator.h"
#include "server/common/log.h"
#include "server/common/metrics.h"

namespace gwq {

// What the handlers of one service share. All of it outlives the server.
struct CallEnvironment {
  Executor& executor;
  const Authenticator& authenticator;
  Metrics& metrics;
  const Log& log;
};

// A call lives from its first reaction to OnDone, and longer if a task or callback holds a shared_ptr to it. The
// request, the response and the context are valid until End has been called and no posted task runs. Thread-safe.
class Call : public std::enable_shared_from_this<Call> {
 public:
  // `method` ("JobService/GetJob") must outlive the call.
  Call(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context);
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Ends the call; only the first call of End counts. Messages that were sent before are written first, and running
  // tasks finish first.
  void End(absl::Status status);
  [[nodiscard]] bool ended() const;
  // Whether the client has cancelled or the deadline has passed.
  [[nodiscard]] bool cancelled() const { return cancelled_.load(); }
  [[nodiscard]] const std::string& principal() const { return principal_; }
  // Runs `task` on the environment's executor and keeps the call alive meanwhile. If the queue is full, the call ends
  // with RESOURCE_EXHAUSTED.
  void Post(std::function<void()> task);
  void PostOn(Executor& executor, std::function<void()> task);
  // Authenticates the caller, then posts Start. Called once, by StartCall.
  void Begin();

 protected:
  // The handler's work. On the executor.
  virtual void Start() = 0;
  // Runs in a reaction, possibly at the same time as another one: must not block.
  virtual void Cancelled() { End(absl::CancelledError("the caller went away or its deadline passed")); }
  // Gives the status to gRPC; called once. `this` may be gone when it returns.
  virtual void FinishReactor(const grpc::Status& status) = 0;

  // End waits while the call is held: while a task runs or a write is in flight.
  void Hold();
  void Release();
  void HandleCancel();
  // Writes the log line and the metrics, and drops the call's reference to itself.
  void HandleDone();

  [[nodiscard]] grpc::CallbackServerContext& context() const { return *context_; }
  // The header "authorization" as the caller sent it; empty if there is none. Valid as long as the context.
  [[nodiscard]] std::string_view authorization() const;
  const CallEnvironment environment_;

 private:
  const std::string_view method_;
  grpc::CallbackServerContext* const context_;
  const std::chrono::steady_clock::time_point started_;
  std::string principal_;
  std::atomic<bool> cancelled_{false};
  std::shared_ptr<Call> self_;  // set by Begin, reset by HandleDone

  mutable Mutex mutex_;
  int holds_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace gwq
