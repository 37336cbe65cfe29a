// The sweep's report as a page.
#include <fmt/format.h>

#include "core/quant/report_page.h"
#include "core/quant/report_plot.h"
#include "core/quant/sweep/sweep_report.h"
#include "core/quant/sweep/sweep_table.h"

namespace gwq {
namespace {

// Marks of all artifacts, and a line through those that are Pareto-optimal.
std::string Plot(const SweepReport& report) {
  const auto loss = LossOf(report);
  if (!loss) return "";
  PlotSeries best{"Pareto-optimal", {}}, others{"others", {}, /*joined=*/false};
  for (const SweepRow& row : report.rows) {
    const auto value = ValueOf(row, *loss);
    if (!value) continue;
    PlotSeries& series = row.pareto ? best : others;
    series.points.push_back(
        {static_cast<double>(row.total_bytes) / 1e6, *value,
         fmt::format("{}: {} bytes, {} {:.6g}", row.artifact, row.total_bytes, loss->name, *value)});
  }
  std::vector<PlotSeries> drawn = {std::move(best)};
  if (!others.points.empty()) drawn.push_back(std::move(others));
  return LinePlot({loss->name + " over the size of the model", "megabytes of all tensors", loss->name}, drawn);
}

}  // namespace

std::string SweepHtml(const SweepReport& report) {
  const SweepTable table = TableOf(report);
  return HtmlPage(
      "Sweep " + report.name,
      HtmlText(fmt::format("Model {} ({}), manifest {}", report.model, report.architecture, report.source.Hex())) +
          Plot(report) + HtmlTable(table.header, table.rows, 1) + HtmlText(ParetoSentence(report)));
}

}  // namespace gwq
