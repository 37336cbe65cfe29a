#include "client/library/retry.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "core/base/status.h"

namespace gwq::client {

namespace {

// A quota or a full disk asks for a minute: somebody must make room, so the user is told at once.
constexpr int64_t kLongestBusyMillis = 10'000;
constexpr std::chrono::milliseconds kLongestPause{60'000};

}  // namespace

bool IsBusy(const absl::Status& status) {
  const int64_t delay = RetryDelayMilliseconds(status);
  return absl::IsResourceExhausted(status) && delay >= 0 && delay <= kLongestBusyMillis;
}

bool IsTransient(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || IsBusy(status);
}

void Pause(const Connection& connection, const RetryOptions& options, int stalled, const absl::Status& why) {
  if (options.waiting) options.waiting(why);
  const auto grown = options.first_pause * (1 << std::min(stalled - 1, 4));
  const std::chrono::milliseconds asked(std::max<int64_t>(RetryDelayMilliseconds(why), 0));
  const auto pause = std::max<std::chrono::milliseconds>(grown, std::min(asked, kLongestPause));
  if (connection.canceller() != nullptr) {
    connection.canceller()->WaitFor(pause);
  } else {
    std::this_thread::sleep_for(pause);
  }
}

absl::Status Persist(const Connection& connection, const RetryOptions& options, const uint64_t& forward,
                     const std::function<absl::Status()>& attempt) {
  for (int stalled = 0;;) {
    const uint64_t before = forward;
    const absl::Status status = attempt();
    if (!IsTransient(status)) return status;
    stalled = forward > before ? 0 : stalled + 1;
    if (stalled == 0) continue;
    if (stalled >= options.max_attempts) {
      return Annotate(status, fmt::format("{} attempts made no progress", stalled));
    }
    Pause(connection, options, stalled, status);
  }
}

}  // namespace gwq::client
