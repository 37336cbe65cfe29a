// How a long step reports its progress and is told to stop.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"

namespace gwq {

// Implementations are thread-safe and return quickly.
class Progress {
 public:
  virtual ~Progress() = default;
  // `done` of `total` units of `phase` ("calibrate", "quantize", ...). `done` never falls within a phase.
  virtual void Step(std::string_view phase, int64_t done, int64_t total) = 0;
  // One line for the job's log, without a line end.
  virtual void Log(std::string_view line) = 0;
  // CANCELLED or DEADLINE_EXCEEDED once the work should end. Call it between units and return its error.
  [[nodiscard]] virtual absl::Status Check() = 0;
};

// Ignores all reports and never asks to stop.
[[nodiscard]] Progress& NoProgress();

}  // namespace gwq
