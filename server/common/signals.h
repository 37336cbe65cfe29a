// Waits for SIGTERM and SIGINT.
#pragma once

namespace gwq {

// Construct it first in main, before any thread starts: threads inherit the mask, so the signals are blocked until Wait
// takes them. SIGPIPE is ignored.
class TerminationSignals {
 public:
  TerminationSignals();
  // Blocks until SIGTERM or SIGINT comes, and returns which one.
  [[nodiscard]] int Wait() const;
};

}  // namespace gwq
