// Time and peak memory of the phases of a job.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/clock.h"
#include "core/quant/report.h"

namespace gwq {

// The largest resident memory of this process since it started or since the last reset, in bytes (VmHWM of
// /proc/self/status); 0 if it cannot be read.
[[nodiscard]] uint64_t PeakResidentBytes();
// Starts the peak anew (writes 5 to /proc/self/clear_refs). False if the kernel does not allow it: then a phase's
// peak includes what came before it.
bool ResetPeakResident();

// One phase at a time.
class PhaseMeter {
 public:
  explicit PhaseMeter(const Clock& clock) : clock_(clock) {}
  // Ends the open phase, if any, and begins one.
  void Begin(std::string name);
  void End();
  [[nodiscard]] const std::vector<ReportPhase>& phases() const { return phases_; }

 private:
  const Clock& clock_;
  bool open_ = false;
  int64_t began_ = 0;
  std::vector<ReportPhase> phases_;
};

}  // namespace gwq
