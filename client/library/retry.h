// Attempts at one long transfer over connections that break.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "client/library/connection.h"

namespace gwq::client {

struct RetryOptions {
  // Attempts in a row that bring nothing forward: the stream breaks, or somebody else is at it. Each goes on where the
  // one before stopped.
  int max_attempts = 8;
  // Between two attempts; twice as long after each, up to 16 times, or what the server asks for where that is longer,
  // a minute at most.
  std::chrono::milliseconds first_pause{250};
  // Told why before each such pause, by the thread that waits.
  std::function<void(const absl::Status& why)> waiting;
};

// RESOURCE_EXHAUSTED whose retry delay is at most 10 s: the service has more calls than it can take just now. Without a
// delay, or with a longer one, it is a limit that does not pass by itself.
[[nodiscard]] bool IsBusy(const absl::Status& status);
// Whether the same call may succeed later: nobody answered, or not in time, or the service is busy.
[[nodiscard]] bool IsTransient(const absl::Status& status);

// Waits after the `stalled`-th attempt in a row that brought nothing forward; the connection's canceller ends it.
void Pause(const Connection& connection, const RetryOptions& options, int stalled, const absl::Status& why);

// Calls `attempt` until it succeeds or fails with what does not pass. `forward` grows with what an attempt brought.
[[nodiscard]] absl::Status Persist(const Connection& connection, const RetryOptions& options, const uint64_t& forward,
                                   const std::function<absl::Status()>& attempt);

}  // namespace gwq::client
