// SIGTERM and SIGINT as something to wait for.
#pragma once

namespace gwq {

// Construct first thing in main, before any thread starts: threads inherit the mask, so the signals are held until Wait
// takes them. SIGPIPE is ignored.
class TerminationSignals {
 public:
  TerminationSignals();
  // Blocks until SIGTERM or SIGINT came; which one.
  [[nodiscard]] int Wait() const;
};

}  // namespace gwq
