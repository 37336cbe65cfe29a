#include "core/quant/sweep/sweep_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace gwq {
namespace {

std::vector<MetricName> MetricsOf(const SweepReport& report) {
  std::vector<MetricName> out;
  for (const SweepRow& row : report.rows) {
    for (const SweepRow::Metric& metric : row.metrics) {
      const MetricName name{metric.evaluation, metric.name};
      if (std::ranges::find(out, name) == out.end()) out.push_back(name);
    }
  }
  return out;
}

}  // namespace

std::optional<MetricName> LossOf(const SweepReport& report) {
  const std::vector<MetricName> metrics = MetricsOf(report);
  for (const char* const name : {"mean_kl", "perplexity"}) {
    const auto found = std::ranges::find(metrics, name, &MetricName::name);
    if (found != metrics.end()) return *found;
  }
  return std::nullopt;
}

std::optional<double> ValueOf(const SweepRow& row, const MetricName& metric) {
  for (const SweepRow::Metric& one : row.metrics) {
    if (one.evaluation == metric.evaluation && one.name == metric.name) return one.value;
  }
  return std::nullopt;
}

SweepTable TableOf(const SweepReport& report) {
  const std::vector<MetricName> metrics = MetricsOf(report);
  const bool several = std::ranges::any_of(
      metrics, [&](const MetricName& metric) { return metric.evaluation != metrics.front().evaluation; });
  SweepTable table;
  table.header = {"artifact", "bits, matrices", "bits, model", "bytes"};
  for (const MetricName& metric : metrics) {
    table.header.push_back(several ? fmt::format("{}: {}", metric.evaluation, metric.name) : metric.name);
  }
  const bool timed =
      std::ranges::any_of(report.rows, [](const SweepRow& row) { return row.tokens_per_second.has_value(); });
  if (timed) table.header.push_back("token/s");
  for (const SweepRow& row : report.rows) {
    std::vector<std::string>& cells = table.rows.emplace_back();
    cells = {fmt::format("{}{}", row.artifact, row.pareto ? " *" : ""), fmt::format("{:.4f}", row.matrix_bits),
             fmt::format("{:.4f}", row.model_bits), fmt::format("{}", row.total_bytes)};
    for (const MetricName& metric : metrics) {
      const auto value = ValueOf(row, metric);
      cells.push_back(value ? fmt::format("{:.6g}", *value) : "");
    }
    if (timed) cells.push_back(row.tokens_per_second ? fmt::format("{:.1f}", *row.tokens_per_second) : "");
  }
  return table;
}

std::string ParetoSentence(const SweepReport& report) {
  const auto loss = LossOf(report);
  if (!loss) return "No divergence and no perplexity was measured, by which the artifacts could be compared.";
  return fmt::format(
      "* No other artifact of the sweep has fewer bytes and no greater {}, or a smaller {} and no more "
      "bytes.",
      loss->name, loss->name);
}

}  // namespace gwq
