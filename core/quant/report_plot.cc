#include "core/quant/report_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/quant/report_page.h"

namespace gwq {
namespace {

// In SVG's units; the plot's own area lies within the margins.
constexpr double kWidth = 860, kHeight = 240;
constexpr double kLeft = 70, kRight = 12, kTop = 22, kBottom = 36;
constexpr double kLogSpan = 100;

std::vector<PlotPoint> Finite(const std::vector<PlotPoint>& points) {
  std::vector<PlotPoint> out;
  for (const PlotPoint& point : points) {
    if (std::isfinite(point.x) && std::isfinite(point.y)) out.push_back(point);
  }
  if (out.size() <= kMaxMarks) return out;
  std::vector<PlotPoint> few;
  for (size_t i = 0; i < kMaxMarks; ++i) few.push_back(out[i * out.size() / kMaxMarks]);
  return few;
}

// From values to places between `from` and `to`.
class Axis {
 public:
  Axis(double low, double high, bool log, double from, double to)
      : log_(log), low_(Scaled(low)), high_(Scaled(high)), from_(from), to_(to) {
    if (!(high_ > low_)) high_ = low_ + 1;
  }
  [[nodiscard]] double Place(double value) const {
    return from_ + (Scaled(value) - low_) / (high_ - low_) * (to_ - from_);
  }
  // The value of a share of the axis.
  [[nodiscard]] double Value(double share) const {
    const double scaled = low_ + share * (high_ - low_);
    return log_ ? std::pow(10.0, scaled) : scaled;
  }

 private:
  [[nodiscard]] double Scaled(double value) const { return log_ ? std::log10(value) : value; }

  const bool log_;
  const double low_;
  double high_;
  const double from_, to_;
};

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

Axis YAxis(const Range& range, bool may_be_log) {
  const bool log = may_be_log && range.low > 0 && range.high / range.low > kLogSpan;
  return Axis(log ? range.low : std::min(0.0, range.low), range.high, log, kHeight - kBottom, kTop);
}

std::string Opening(const PlotTexts& texts, double height) {
  return fmt::format("<svg viewBox=\"0 0 {} {:.0f}\" width=\"{}\" role=\"img\" aria-label=\"{}\">\n", kWidth, height,
                     kWidth, EscapeHtml(texts.title));
}

std::string TextAt(double x, double y, std::string_view anchor, std::string_view text) {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor, EscapeHtml(text));
}

std::string Frame(const PlotTexts& texts, const Axis& y, double first_x, double last_x) {
  std::string out = Opening(texts, kHeight);
  for (int tick = 0; tick <= 4; ++tick) {
    const double value = y.Value(tick / 4.0), place = y.Place(value);
    out += fmt::format("<path class=\"axis\" d=\"M{} {:.1f}H{}\"/>\n", kLeft, place, kWidth - kRight);
    out += TextAt(kLeft - 6, place + 4, "end", fmt::format("{:.3g}", value));
  }
  out += TextAt(kLeft, kHeight - kBottom + 16, "start", fmt::format("{:.6g}", first_x));
  out += TextAt(kWidth - kRight, kHeight - kBottom + 16, "end", fmt::format("{:.6g}", last_x));
  out += TextAt((kLeft + kWidth) / 2, kHeight - 6, "middle", texts.x);
  return out + TextAt(4, 12, "start", texts.y);
}

std::string Line(const std::vector<PlotPoint>& points, const Axis& x, const Axis& y, bool second, bool joined) {
  std::string path, dots;
  for (const PlotPoint& point : points) {
    path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x.Place(point.x), y.Place(point.y));
    dots += fmt::format("<circle class=\"dot{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"><title>{}</title></circle>\n",
                        second ? 2 : 1, x.Place(point.x), y.Place(point.y), EscapeHtml(point.label));
  }
  if (!joined) return dots;
  return fmt::format("<path class=\"{}\" d=\"{}\"/>\n{}", second ? "second" : "first", path, dots);
}

}  // namespace

std::string LinePlot(const PlotTexts& texts, const std::vector<PlotSeries>& series) {
  Range xs, ys;
  std::vector<std::vector<PlotPoint>> drawn;
  for (const PlotSeries& one : series) {
    for (const PlotPoint& point : drawn.emplace_back(Finite(one.points))) {
      xs.Add(point.x);
      ys.Add(point.y);
    }
  }
  if (xs.low > xs.high) return "";
  const Axis y = YAxis(ys, /*may_be_log=*/true);
  const Axis x(xs.low, xs.high, /*log=*/false, kLeft, kWidth - kRight);
  std::string out = Frame(texts, y, xs.low, xs.high);
  for (size_t i = 0; i < drawn.size(); ++i) out += Line(drawn[i], x, y, i > 0, series[i].joined);
  for (size_t i = 0; i < series.size() && series.size() > 1; ++i) {
    const double at = kWidth - 240 + 120 * static_cast<double>(i);
    out += fmt::format("<circle class=\"dot{}\" cx=\"{:.0f}\" cy=\"8\" r=\"4\"/>\n", i > 0 ? 2 : 1, at);
    out += TextAt(at + 8, 12, "start", series[i].name);
  }
  return out + "</svg>\n";
}

std::string BarPlot(const PlotTexts& texts, const std::vector<PlotPoint>& bars) {
  const std::vector<PlotPoint> drawn = Finite(bars);
  if (drawn.empty()) return "";
  Range ys;
  for (const PlotPoint& bar : drawn) ys.Add(bar.y);
  const Axis y = YAxis(ys, /*may_be_log=*/false);
  const double step = (kWidth - kLeft - kRight) / static_cast<double>(drawn.size());
  std::string out = Frame(texts, y, drawn.front().x, drawn.back().x);
  for (size_t i = 0; i < drawn.size(); ++i) {
    const double top = y.Place(std::max(0.0, drawn[i].y)), bottom = y.Place(std::min(0.0, drawn[i].y));
    out += fmt::format(
        "<rect class=\"bar\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"><title>{}</title></rect>\n",
        kLeft + step * static_cast<double>(i) + step * 0.1, top, step * 0.8, bottom - top, EscapeHtml(drawn[i].label));
  }
  return out + "</svg>\n";
}

std::string MapPlot(const PlotTexts& texts, const std::vector<std::string>& rows, const std::vector<MapCell>& cells) {
  constexpr double kNames = 240, kRow = 18, kMaxCell = 60;
  if (cells.empty()) return "";
  Range values;
  size_t columns = 0;
  for (const MapCell& cell : cells) {
    if (std::isfinite(cell.value)) values.Add(cell.value);
    columns = std::max(columns, cell.column + 1);
  }
  const double width = std::min(kMaxCell, (kWidth - kNames - kRight) / static_cast<double>(columns));
  const double height = kTop + kRow * static_cast<double>(rows.size());
  std::string out = Opening(texts, height + kBottom);
  const bool measured = values.low <= values.high;
  out +=
      TextAt(4, 12, "start",
             measured ? fmt::format("{}, {:.3g} (light) to {:.3g} (full)", texts.y, values.low, values.high) : texts.y);
  for (size_t i = 0; i < rows.size(); ++i) {
    out += TextAt(kNames - 8, kTop + kRow * static_cast<double>(i) + 13, "end", rows[i]);
  }
  for (size_t i = 0; i < std::min(cells.size(), kMaxMarks); ++i) {
    const MapCell& cell = cells[i];
    const double share = values.high > values.low ? (cell.value - values.low) / (values.high - values.low) : 1;
    out += fmt::format(
        "<rect class=\"bar\" fill-opacity=\"{:.2f}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\">"
        "<title>{}</title></rect>\n",
        std::isfinite(share) ? 0.2 + 0.8 * share : 0.0, kNames + width * static_cast<double>(cell.column),
        kTop + kRow * static_cast<double>(cell.row), width - 1, kRow - 1, EscapeHtml(cell.label));
  }
  out += TextAt(kNames, height + 14, "start", "0");
  out += TextAt(kNames + width * static_cast<double>(columns), height + 14, "end", fmt::format("{}", columns - 1));
  out += TextAt(kNames + width * static_cast<double>(columns) / 2, height + 28, "middle", texts.x);
  return out + "</svg>\n";
}

}  // namespace gwq
