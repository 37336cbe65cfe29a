#include "core/quant/job/phase_meter.h"

#include <fstream>
#include <sstream>
#include <utility>

namespace gwq {

uint64_t PeakResidentBytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    std::istringstream words(line);
    std::string key;
    uint64_t kibibytes = 0;
    if (words >> key >> kibibytes && key == "VmHWM:") return kibibytes * 1024;
  }
  return 0;
}

bool ResetPeakResident() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5" << std::flush;
  return file.good();
}

void PhaseMeter::Begin(std::string name) {
  End();
  ReportPhase phase;
  phase.name = std::move(name);
  phases_.push_back(std::move(phase));
  ResetPeakResident();
  began_ = clock_.MonotonicMillis();
  open_ = true;
}

void PhaseMeter::End() {
  if (!open_) return;
  open_ = false;
  phases_.back().seconds = static_cast<double>(clock_.MonotonicMillis() - began_) / 1000;
  phases_.back().peak_memory_bytes = PeakResidentBytes();
}

}  // namespace gwq
