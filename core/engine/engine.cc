#include "core/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "core/base/mutex.h"
#include "core/base/status.h"

namespace gwq {
namespace {

// How often paused requests are looked at when nothing else happens: their limits are in seconds.
constexpr std::chrono::milliseconds kPausedPoll{50};
constexpr int64_t kMinRetryMillis = 100;
constexpr int64_t kMaxRetryMillis = 30'000;

RequestLimits LimitsOf(const StepModel& model, const EngineOptions& options) {
  RequestLimits limits = LimitsOf(model);
  if (options.max_context_tokens > 0) {
    limits.max_context_tokens = std::min(options.max_context_tokens, limits.max_context_tokens);
  }
  limits.max_prompt_tokens = limits.max_context_tokens - 1;
  if (options.max_prompt_tokens > 0) {
    limits.max_prompt_tokens = std::min(options.max_prompt_tokens, limits.max_prompt_tokens);
  }
  return limits;
}

}  // namespace

struct Engine::Mailbox {
  mutable Mutex mutex;
  CondVar changed;  // something for the thread to do
  CondVar idle;     // nothing is left
  std::vector<std::unique_ptr<Sequence>> inbox ABSL_GUARDED_BY(mutex);
  bool open ABSL_GUARDED_BY(mutex) = true;
  bool exiting ABSL_GUARDED_BY(mutex) = false;
  bool woken ABSL_GUARDED_BY(mutex) = false;
  absl::Status abort ABSL_GUARDED_BY(mutex);
  SchedulerStats stats ABSL_GUARDED_BY(mutex);
  int64_t submitted ABSL_GUARDED_BY(mutex) = 0;
  int64_t first_submit_millis ABSL_GUARDED_BY(mutex) = 0;

  void Wake() {
    {
      MutexLock lock(mutex);
      woken = true;
    }
    changed.NotifyOne();
  }
  [[nodiscard]] bool Busy() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) { return stats.finished < submitted; }
  [[nodiscard]] absl::Status CheckOpen(int64_t max_queued, int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (!open) return absl::UnavailableError("the model takes no more requests: it is being unloaded");
    const auto queued = std::ssize(inbox) + stats.queued;
    if (queued < max_queued) return absl::OkStatus();
    return WithRetryDelay(absl::ResourceExhaustedError(
                              fmt::format("{} requests wait, the limit is {}; try again later", queued, max_queued)),
                          RetryMillis(now));
  }
  // The mean time a request has taken of the whole engine, for each that waits.
  [[nodiscard]] int64_t RetryMillis(int64_t now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (stats.finished == 0) return 1000;
    return std::clamp((now - first_submit_millis) / stats.finished, kMinRetryMillis, kMaxRetryMillis);
  }
};

class Engine::Handle final : public GenerationHandle {
 public:
  explicit Handle(std::shared_ptr<Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}
  void Cancel() override {
    cancelled_->store(true, std::memory_order_relaxed);
    mailbox_->Wake();
  }
  void Resume() override { mailbox_->Wake(); }
  [[nodiscard]] std::shared_ptr<const std::atomic<bool>> cancelled() const { return cancelled_; }

 private:
  const std::shared_ptr<Mailbox> mailbox_;
  const std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
};

Engine::Engine(std::unique_ptr<StepModel> model, const EngineOptions& options, const Clock& clock,
               EngineObserver* observer)
    : model_(std::move(model)),
      options_(options),
      clock_(clock),
      observer_(observer),
      limits_(LimitsOf(*model_, options)),
      scheduler_(*model_, options.scheduler, clock, observer),
      mailbox_(std::make_shared<Mailbox>()) {
  {
    MutexLock lock(mailbox_->mutex);
    mailbox_->stats = scheduler_.stats();
  }
  thread_ = std::thread([this] { Run(); });
}

Engine::~Engine() {
  {
    MutexLock lock(mailbox_->mutex);
    mailbox_->open = false;
    mailbox_->exiting = true;
    if (mailbox_->abort.ok())
      mailbox_->abort = absl::UnavailableError("the model is being unloaded; ask again elsewhere");
  }
  mailbox_->changed.NotifyOne();
  thread_.join();
}

absl::StatusOr<std::shared_ptr<GenerationHandle>> Engine::Submit(GenerationRequest request,
                                                                 std::shared_ptr<GenerationSink> sink) {
  GWQ_RETURN_IF_ERROR(CheckRequest(request, limits_));
  auto handle = std::make_shared<Handle>(mailbox_);
  const int64_t now = clock_.MonotonicMillis();
  auto sequence = std::make_unique<Sequence>(std::move(request), std::move(sink), handle->cancelled(),
                                             limits_.max_context_tokens, now);
  {
    MutexLock lock(mailbox_->mutex);
    GWQ_RETURN_IF_ERROR(mailbox_->CheckOpen(options_.max_queued, now));
    if (mailbox_->submitted++ == 0) mailbox_->first_submit_millis = now;
    mailbox_->inbox.push_back(std::move(sequence));
  }
  mailbox_->changed.NotifyOne();
  return std::shared_ptr<GenerationHandle>(std::move(handle));
}

void Engine::Publish() {
  const SchedulerStats stats = scheduler_.stats();
  if (observer_ != nullptr) observer_->OnStats(stats);
  MutexLock lock(mailbox_->mutex);
  mailbox_->stats = stats;
  if (!mailbox_->Busy()) mailbox_->idle.NotifyAll();
}

void Engine::Run() {
  bool ran = false;
  for (;;) {
    std::vector<std::unique_ptr<Sequence>> arrived;
    absl::Status abort;
    bool exiting = false;
    Publish();
    {
      MutexLock lock(mailbox_->mutex);
      while (!ran && mailbox_->inbox.empty() && !mailbox_->woken && !mailbox_->exiting &&
             (mailbox_->abort.ok() || !mailbox_->Busy())) {
        if (mailbox_->stats.paused == 0) {
          mailbox_->changed.Wait(mailbox_->mutex);
        } else if (!mailbox_->changed.WaitUntil(mailbox_->mutex, std::chrono::steady_clock::now() + kPausedPoll)) {
          break;
        }
      }
      mailbox_->woken = false;
      arrived.swap(mailbox_->inbox);
      // Counted as queued until the scheduler has decided, so that Submit sees them.
      mailbox_->stats.queued += static_cast<int>(arrived.size());
      abort = mailbox_->abort;
      exiting = mailbox_->exiting;
    }
    for (auto& sequence : arrived) scheduler_.Add(std::move(sequence));
    if (!abort.ok()) scheduler_.FailAll(abort);
    if (exiting) return;
    ran = scheduler_.Schedule();
    Publish();
    if (ran) scheduler_.Run();
  }
}

absl::Status Engine::CheckQueue() const {
  MutexLock lock(mailbox_->mutex);
  return mailbox_->CheckOpen(options_.max_queued, clock_.MonotonicMillis());
}

void Engine::StopAccepting() {
  MutexLock lock(mailbox_->mutex);
  mailbox_->open = false;
}

bool Engine::WaitUntilIdle(std::chrono::steady_clock::time_point until) {
  MutexLock lock(mailbox_->mutex);
  while (mailbox_->Busy()) {
    if (!mailbox_->idle.WaitUntil(mailbox_->mutex, until)) return !mailbox_->Busy();
  }
  return true;
}

void Engine::Abort(const absl::Status& status) {
  MutexLock lock(mailbox_->mutex);
  mailbox_->open = false;
  mailbox_->abort = status;
  mailbox_->changed.NotifyOne();
  while (mailbox_->Busy()) mailbox_->idle.Wait(mailbox_->mutex);
}

SchedulerStats Engine::stats() const {
  MutexLock lock(mailbox_->mutex);
  return mailbox_->stats;
}

int64_t Engine::cache_tokens() const { return LimitsOf(*model_).max_context_tokens; }

}  // namespace gwq
