#include "server/worker/lease_keeper.h"

#include <algorithm>

namespace gwq {
namespace {

// Lines beyond these wait for the next heartbeat, and past the second limit the oldest are dropped: a log must not
// grow.
constexpr size_t kMaxLinesPerBeat = 200;
constexpr size_t kMaxLines = 2000;
// Progress reaches watchers about once a second even where leases are long.
constexpr std::chrono::milliseconds kSlowestBeat{1000};

}  // namespace

LeaseKeeper::LeaseKeeper(LeaseLink& link, const AcquiredJob& job)
    : link_(link), job_(job), ttl_(job.ttl_millis), renewed_(std::chrono::steady_clock::now()) {
  thread_ = std::thread([this] { Run(); });
}

LeaseKeeper::~LeaseKeeper() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void LeaseKeeper::Step(std::string_view phase, int64_t done, int64_t total) {
  MutexLock lock(mutex_);
  progress_ = {std::string(phase), done, total};
}

void LeaseKeeper::Log(std::string_view line) {
  MutexLock lock(mutex_);
  if (lines_.size() == kMaxLines) lines_.erase(lines_.begin());
  lines_.emplace_back(line);
}

absl::Status LeaseKeeper::Check() {
  MutexLock lock(mutex_);
  return state_;
}

void LeaseKeeper::Run() {
  const std::chrono::milliseconds pause = std::min(ttl_ / 4, kSlowestBeat);
  for (bool last = false; Beat() && !last;) {
    const TimePoint next = std::chrono::steady_clock::now() + pause;
    MutexLock lock(mutex_);
    while (!stop_ && changed_.WaitUntil(mutex_, next)) {
    }
    last = stop_;
  }
}

bool LeaseKeeper::Beat() {
  WorkerProgress progress;
  std::vector<std::string> lines;
  {
    MutexLock lock(mutex_);
    progress = progress_;
    lines.assign(lines_.begin(), lines_.begin() + static_cast<ptrdiff_t>(std::min(lines_.size(), kMaxLinesPerBeat)));
  }
  const absl::StatusOr<bool> cancel = link_.Heartbeat(job_, progress, lines, std::max<int64_t>(ttl_.count() / 3, 100));
  const TimePoint now = std::chrono::steady_clock::now();
  MutexLock lock(mutex_);
  if (cancel.ok()) {
    renewed_ = now;
    lines_.erase(lines_.begin(), lines_.begin() + static_cast<ptrdiff_t>(std::min(lines_.size(), lines.size())));
    if (*cancel && state_.ok()) state_ = absl::CancelledError("the job was cancelled");
    return true;
  }
  const bool lost = cancel.status().code() == absl::StatusCode::kAborted || now - renewed_ >= ttl_;
  if (lost) state_ = absl::AbortedError("the lease is lost");
  return !lost;
}

}  // namespace gwq
