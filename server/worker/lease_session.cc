#include "server/worker/lease_session.h"

#include <algorithm>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

// Progress is shown to people; heartbeats more often than this only cost disk writes.
constexpr int64_t kLongestBeatMillis = 1'000;

}  // namespace

LeaseSession::LeaseSession(JobsClient& client, v1::AcquireResponse lease,
                           std::function<void(const std::string& why)> lost)
    : client_(client), lease_(std::move(lease)), lost_(std::move(lost)) {
  {
    MutexLock lock(beat_mutex_);
    last_success_ = std::chrono::steady_clock::now();
  }
  thread_ = std::thread([this] { Run(); });
}

LeaseSession::~LeaseSession() {
  {
    MutexLock lock(mutex_);
    stop_ = true;
  }
  changed_.NotifyAll();
  thread_.join();
}

void LeaseSession::Step(std::string_view phase, int64_t done, int64_t total) {
  MutexLock lock(mutex_);
  phase_ = ToValidUtf8(phase);
  done_ = done;
  total_ = total;
}

void LeaseSession::Log(std::string_view line) {
  MutexLock lock(mutex_);
  lines_.push_back(ToValidUtf8(line));
}

absl::Status LeaseSession::Check() {
  MutexLock lock(mutex_);
  return cancel_ ? absl::CancelledError("cancelled on request") : absl::OkStatus();
}

void LeaseSession::Flush() { Beat(); }

void LeaseSession::Reporting() {
  MutexLock lock(mutex_);
  reporting_ = true;
}

void LeaseSession::Run() {
  const auto period = std::chrono::milliseconds(std::clamp<int64_t>(lease_.ttl_millis() / 3, 50, kLongestBeatMillis));
  for (;;) {
    {
      const auto until = std::chrono::steady_clock::now() + period;
      MutexLock lock(mutex_);
      while (!stop_ && changed_.WaitUntil(mutex_, until)) {
      }
      if (stop_) return;
    }
    Beat();
  }
}

v1::HeartbeatRequest LeaseSession::Next() {
  v1::HeartbeatRequest request;
  request.set_job(lease_.job());
  request.set_fencing_token(lease_.fencing_token());
  MutexLock lock(mutex_);
  request.set_phase(phase_);
  request.set_done(done_);
  request.set_total(total_);
  for (std::string& line : lines_) request.add_log_lines(std::move(line));
  lines_.clear();
  return request;
}

void LeaseSession::Beat() {
  MutexLock beat(beat_mutex_);
  v1::HeartbeatRequest request = Next();
  const auto response = client_.Heartbeat(request);
  const auto now = std::chrono::steady_clock::now();
  if (response.ok()) {
    last_success_ = now;
    MutexLock lock(mutex_);
    cancel_ = cancel_ || response->cancel();
    return;
  }
  bool reporting = false;
  {
    MutexLock lock(mutex_);  // to be told with the next one
    lines_.insert(lines_.begin(), request.log_lines().begin(), request.log_lines().end());
    reporting = reporting_;
  }
  if (absl::IsAborted(response.status())) {
    if (!reporting) lost_(std::string(MessageOf(response.status())));
    return;
  }
  if (now - last_success_ > std::chrono::milliseconds(lease_.ttl_millis())) {
    lost_("no heartbeat was answered for as long as the lease lasts");
  }
}

}  // namespace gwq
