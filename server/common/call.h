// What every RPC handler shares, whatever its shape: admission, executor, one end, and the record that is kept of it.
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

// What handlers of one service run with; all of it outlives the server.
struct CallEnvironment {
  Executor& executor;
  const Authenticator& authenticator;
  Metrics& metrics;
  const Log& log;
};

// A call lives from its first reaction to OnDone, and longer while a task or callback holds a shared_ptr to it. The
// request, the response and the context stay valid until End was called and no posted task runs. Thread-safe.
class Call : public std::enable_shared_from_this<Call> {
 public:
  // `method` ("JobService/GetJob") must outlive the call.
  Call(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context);
  virtual ~Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // Ends the call once; later calls do nothing. What was sent before is written first, running tasks finish first.
  void End(absl::Status status);
  [[nodiscard]] bool ended() const;
  // Set by a cancel or a passed deadline.
  [[nodiscard]] bool cancelled() const { return cancelled_.load(); }
  [[nodiscard]] const std::string& principal() const { return principal_; }
  // Runs `task` on the environment's executor and keeps the call alive meanwhile. Where its queue is full the call ends
  // with RESOURCE_EXHAUSTED.
  void Post(std::function<void()> task);
  void PostOn(Executor& executor, std::function<void()> task);
  // Admits the caller, then posts Start; called once, by StartCall.
  void Begin();

 protected:
  // The handler's work. On the executor.
  virtual void Start() = 0;
  // In a reaction, beside any other: must not block.
  virtual void Cancelled() { End(absl::CancelledError("the caller went away or its deadline passed")); }
  // Gives the status to gRPC; called once. `this` may be gone when it returns.
  virtual void FinishReactor(const grpc::Status& status) = 0;

  // While held, End waits: for a task that runs or a write in flight.
  void Hold();
  void Release();
  void HandleCancel();
  // Logs, counts, lets go of the call's hold on itself.
  void HandleDone();

  [[nodiscard]] grpc::CallbackServerContext& context() const { return *context_; }
  // The header of that name as the caller sent it; empty where it sent none. Valid as long as the context.
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
