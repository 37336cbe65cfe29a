// Requests that are answered on the calling thread: for whoever has all of them at once and waits for the answers.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "core/engine/request.h"
#include "core/engine/scheduler.h"
#include "core/engine/step_model.h"

namespace gwq {

struct RequestToRun {
  GenerationRequest request;
  std::shared_ptr<GenerationSink> sink;  // takes what it gets at once: its unread_tokens() is 0
};

// Answers every request and tells its sink. They share the model's cache and passes, and get the answers that each
// would get alone. `check` is asked before every pass; null: never. INVALID_ARGUMENT as CheckRequest, before anything
// runs and without a call of a sink; the errors of `check`, after which each sink that was not done is told so.
[[nodiscard]] absl::Status RunRequests(StepModel& model, const SchedulerOptions& options,
                                       std::vector<RequestToRun> requests, const std::function<absl::Status()>& check);

}  // namespace gwq
