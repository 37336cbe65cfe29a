// The sweep's report as a page.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/io/json.h"
#include "core/quant/sweep/sweep_report.h"
#include "core/quant/sweep/sweep_table.h"

namespace gwq {
namespace {

// In SVG's units; the plot's own area lies within the margins.
constexpr double kWidth = 860, kHeight = 320, kLeft = 80, kRight = 90, kTop = 20, kBottom = 40;
constexpr int kTicks = 4;

// Colours of the system, so that a dark page stays dark.
constexpr std::string_view kStyle =
    ":root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:960px;margin:2rem auto;padding:0 "
    "1rem}table{border-collapse:collapse}th,td{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:right}"
    "th:first-child,td:first-child{text-align:left}code{overflow-wrap:anywhere}svg{max-width:100%;height:auto}"
    "svg text{font:12px system-ui,sans-serif;fill:currentColor}";

std::string Escape(std::string_view text) {
  std::string out;
  for (const char c : ToValidUtf8(text)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
  }
  return out;
}

struct Point {
  double x = 0, y = 0;
  const SweepRow* row = nullptr;
};

// From values to places between two ends.
struct Axis {
  double low = 0, high = 1, from = 0, to = 0;
  [[nodiscard]] double Place(double value) const { return from + (value - low) / (high - low) * (to - from); }
  [[nodiscard]] double Value(int tick) const { return low + (high - low) * tick / kTicks; }
};

Axis AxisOf(std::vector<double> values, bool from_zero, double from, double to) {
  const auto [least, most] = std::ranges::minmax(values);
  Axis axis{from_zero ? std::min(0.0, least) : least, most, from, to};
  if (!(axis.high > axis.low)) axis.high = axis.low + 1;
  return axis;
}

std::vector<Point> PointsOf(const SweepReport& report, const MetricName& loss) {
  std::vector<Point> out;
  for (const SweepRow& row : report.rows) {
    const auto value = ValueOf(row, loss);
    if (value && std::isfinite(*value)) out.push_back({static_cast<double>(row.total_bytes), *value, &row});
  }
  return out;
}

std::string Text(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, Escape(text));
}

std::string Grid(const Axis& x, const Axis& y, const MetricName& loss) {
  std::string out;
  for (int tick = 0; tick <= kTicks; ++tick) {
    const double at = y.Place(y.Value(tick));
    out += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#8886\"/>\n", kLeft,
                       kWidth - kRight, at, at);
    out += Text(kLeft - 6, at + 4, "end", fmt::format("{:.3g}", y.Value(tick)));
    out += Text(x.Place(x.Value(tick)), kHeight - kBottom + 16, "middle", fmt::format("{:.1f}", x.Value(tick) / 1e6));
  }
  out += Text((kLeft + kWidth - kRight) / 2, kHeight - 6, "middle", "megabytes of all tensors");
  return out + Text(kLeft, 12, "start", loss.name);
}

// Marks of all artifacts, and a line through those that are Pareto-optimal.
std::string Plot(const SweepReport& report) {
  const auto loss = LossOf(report);
  const std::vector<Point> points = loss ? PointsOf(report, *loss) : std::vector<Point>();
  if (points.empty()) return "";
  std::vector<double> xs, ys;
  for (const Point& point : points) {
    xs.push_back(point.x);
    ys.push_back(point.y);
  }
  const Axis x = AxisOf(xs, false, kLeft, kWidth - kRight), y = AxisOf(ys, true, kHeight - kBottom, kTop);
  std::string marks, line;
  for (const Point& point : points) {
    const double px = x.Place(point.x), py = y.Place(point.y);
    if (point.row->pareto) line += fmt::format("{:.1f},{:.1f} ", px, py);
    marks += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"{}\" stroke=\"#2b6cb0\"><title>{}: {} bytes, {} "
        "{:.6g}</title></circle>\n",
        px, py, point.row->pareto ? "#2b6cb0" : "none", Escape(point.row->artifact), point.row->total_bytes,
        Escape(loss->name), point.y);
    marks += Text(px + 8, py - 6, "start", point.row->label);
  }
  return fmt::format(
      "<svg viewBox=\"0 0 {} {}\" width=\"{}\" role=\"img\" aria-label=\"{} over bytes\">\n{}<polyline points=\"{}\" "
      "fill=\"none\" stroke=\"#2b6cb0\"/>\n{}</svg>\n",
      kWidth, kHeight, kWidth, Escape(loss->name), Grid(x, y, *loss), line, marks);
}

std::string Table(const SweepTable& table) {
  std::string out = "<table>\n<tr>";
  for (const std::string& cell : table.header) out += fmt::format("<th>{}</th>", Escape(cell));
  out += "</tr>\n";
  for (const std::vector<std::string>& row : table.rows) {
    out += "<tr>";
    for (const std::string& cell : row) out += fmt::format("<td>{}</td>", Escape(cell));
    out += "</tr>\n";
  }
  return out + "</table>\n";
}

}  // namespace

std::string SweepHtml(const SweepReport& report) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'\">\n<title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n<p>Model "
      "<code>{2}</code> ({3})</p>\n{4}{5}<p>{6}</p>\n</body></html>\n",
      Escape("Sweep " + report.name), kStyle, report.source.Hex(), Escape(report.architecture), Plot(report),
      Table(TableOf(report)), Escape(ParetoSentence(report)));
}

}  // namespace gwq
