// Serves one model: a thread that steps the scheduler, and the mailbox through which requests come in.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/engine/request.h"
#include "core/engine/scheduler.h"
#include "core/engine/step_model.h"

namespace gwq {

struct EngineOptions {
  int64_t max_context_tokens = 0;  // prompt and answer of one request; 0: whatever the cache holds. Cut to the cache.
  int64_t max_prompt_tokens = 0;   // 0: all of the context but one token
  int max_queued = 256;            // requests that wait; at least 1
  SchedulerOptions scheduler = {};
};

// The submitter's control of a request. Thread-safe. It may outlive the engine and then does nothing.
class GenerationHandle {
 public:
  virtual ~GenerationHandle() = default;
  // The request ends with CANCELLED at the next step. Harmless if it has ended already.
  virtual void Cancel() = 0;
  // Call it when the sink has fewer unread tokens: a paused request may continue.
  virtual void Resume() = 0;
};

// Thread-safe. Sinks are called on the engine's thread.
class Engine {
 public:
  // Clock and observer (may be null) must outlive the engine.
  Engine(std::unique_ptr<StepModel> model, const EngineOptions& options, const Clock& clock, EngineObserver* observer);
  // Requests that have not ended end with UNAVAILABLE.
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Never blocks. INVALID_ARGUMENT naming the field; RESOURCE_EXHAUSTED with a retry delay if the queue is full;
  // UNAVAILABLE after StopAccepting. After an error the sink is not called.
  [[nodiscard]] absl::StatusOr<std::shared_ptr<GenerationHandle>> Submit(GenerationRequest request,
                                                                         std::shared_ptr<GenerationSink> sink);
  // The status that Submit would return for the queue now. Ask it before work that a refused request would waste.
  [[nodiscard]] absl::Status CheckQueue() const;
  // From now on Submit refuses requests. Accepted ones continue.
  void StopAccepting();
  // Blocks until all requests have ended or `until` has passed; true if all have ended.
  [[nodiscard]] bool WaitUntilIdle(std::chrono::steady_clock::time_point until);
  // Ends all requests with `status` and blocks until they have ended. Implies StopAccepting.
  void Abort(const absl::Status& status);

  [[nodiscard]] SchedulerStats stats() const;
  [[nodiscard]] const RequestLimits& limits() const { return limits_; }
  [[nodiscard]] int64_t cache_tokens() const;
  [[nodiscard]] uint64_t cache_bytes() const { return model_->cache_bytes(); }

 private:
  struct Mailbox;
  class Handle;
  void Run();
  void Publish();

  const std::unique_ptr<StepModel> model_;
  const EngineOptions options_;
  const Clock& clock_;
  EngineObserver* const observer_;
  const RequestLimits limits_;
  Scheduler scheduler_;                     // used by the thread alone
  const std::shared_ptr<Mailbox> mailbox_;  // shared with the handles
  std::thread thread_;
};

}  // namespace gwq
