// The losses of a tuning's steps as a few points: enough for a plot, however many steps there are.
#pragma once

#include <cstdint>
#include <vector>

#include "core/quant/report.h"

namespace gwq {

[[nodiscard]] inline int TuningPoints(int steps) { return steps < kTuningPoints ? steps : kTuningPoints; }
// The point that step `step` of `steps` belongs to; both count from 0.
[[nodiscard]] inline int TuningPointOf(int step, int steps) {
  return static_cast<int>(int64_t{step} * TuningPoints(steps) / steps);
}

// Adds the loss of one step; `sums` grows to one entry for each point that was reached.
inline void AddTuningLoss(int step, int steps, double loss, std::vector<double>& sums) {
  const auto point = static_cast<size_t>(TuningPointOf(step, steps));
  if (sums.size() <= point) sums.resize(point + 1);
  sums[point] += loss;
}

// Of all steps. Empty where `sums` is of another number of points: a checkpoint of a version that kept no losses.
[[nodiscard]] inline std::vector<ReportTuning> TuningOf(const std::vector<double>& sums, int steps) {
  std::vector<ReportTuning> out;
  if (sums.empty() || static_cast<int>(sums.size()) != TuningPoints(steps)) return out;
  for (int step = 0; step < steps; ++step) {
    const int point = TuningPointOf(step, steps);
    if (point == static_cast<int>(out.size())) out.push_back({step + 1, 0, sums[static_cast<size_t>(point)]});
    ++out.back().steps;
  }
  for (ReportTuning& one : out) one.divergence /= one.steps;
  return out;
}

}  // namespace gwq
