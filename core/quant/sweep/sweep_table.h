// The table that a sweep's texts share. Internal to core/quant/sweep.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/quant/sweep/sweep_report.h"

namespace gwq {

struct MetricName {
  std::string evaluation, name;
  friend bool operator==(const MetricName&, const MetricName&) = default;
};

// By which the rows are compared: the first mean_kl of any row, else the first perplexity; none without either.
[[nodiscard]] std::optional<MetricName> LossOf(const SweepReport& report);
[[nodiscard]] std::optional<double> ValueOf(const SweepRow& row, const MetricName& metric);

struct SweepTable {
  std::vector<std::string> header;
  std::vector<std::vector<std::string>> rows;
};
// Label, bits, bytes and every metric; a "*" behind the label marks Pareto-optimal rows.
[[nodiscard]] SweepTable TableOf(const SweepReport& report);
// What the "*" means.
[[nodiscard]] std::string ParetoSentence(const SweepReport& report);

}  // namespace gwq
