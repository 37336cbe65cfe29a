// Plots as SVG that stands in an HTML page. A mark tells its value to who points at it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace gwq {

struct PlotPoint {
  double x = 0, y = 0;
  std::string label;  // what the mark tells
};
struct PlotSeries {
  std::string name;  // told in a legend where there are several
  std::vector<PlotPoint> points;
  bool joined = true;  // by a line
};
struct PlotTexts {
  std::string title;  // for who cannot see the plot
  std::string x, y;   // names of the axes
};
// Marks of a series or cells of a map, at most; of more, evenly spread ones are drawn.
inline constexpr size_t kMaxMarks = 1024;

// One or two series. The y axis begins at 0, or is logarithmic if all values are above 0 and span more than two powers
// of ten. Values that are not finite are left out; a plot without any value is empty.
[[nodiscard]] std::string LinePlot(const PlotTexts& texts, const std::vector<PlotSeries>& series);
// One bar a point, side by side in their order.
[[nodiscard]] std::string BarPlot(const PlotTexts& texts, const std::vector<PlotPoint>& bars);

struct MapCell {
  size_t row = 0, column = 0;
  double value = 0;
  std::string label;
};
// Cells of `rows` by columns: the larger a value, the fuller the colour.
[[nodiscard]] std::string MapPlot(const PlotTexts& texts, const std::vector<std::string>& rows,
                                  const std::vector<MapCell>& cells);

}  // namespace gwq
