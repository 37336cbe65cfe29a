#include "core/engine/run_requests.h"

#include <atomic>
#include <utility>

#include "core/base/clock.h"
#include "core/base/status.h"

namespace gwq {

absl::Status RunRequests(StepModel& model, const SchedulerOptions& options, std::vector<RequestToRun> requests,
                         const std::function<absl::Status()>& check) {
  const RequestLimits limits = LimitsOf(model);
  for (const RequestToRun& each : requests) GWQ_RETURN_IF_ERROR(CheckRequest(each.request, limits));
  const Clock& clock = SystemClock();
  const auto never_cancelled = std::make_shared<const std::atomic<bool>>(false);
  Scheduler scheduler(model, options, clock, nullptr);
  for (RequestToRun& each : requests) {
    scheduler.Add(std::make_unique<Sequence>(std::move(each.request), std::move(each.sink), never_cancelled,
                                             limits.max_context_tokens, clock.MonotonicMillis()));
  }
  for (;;) {
    if (const absl::Status status = check ? check() : absl::OkStatus(); !status.ok()) {
      scheduler.FailAll(status);
      return status;
    }
    if (!scheduler.Step()) return absl::OkStatus();
  }
}

}  // namespace gwq
