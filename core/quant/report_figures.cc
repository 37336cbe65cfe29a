#include "core/quant/report_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "absl/strings/numbers.h"
#include "core/io/json_fields.h"
#include "core/quant/report_page.h"
#include "core/quant/report_plot.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// A column of a map further to the right is not drawn.
constexpr uint32_t kMaxColumns = 1000;

// "model.layers.3.mlp.up_proj.weight" is place "mlp.up_proj" of block 3.
struct Place {
  uint32_t block = 0;
  std::string role;
};

bool SplitName(std::string_view name, Place& out) {
  for (size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
    const size_t end = name.find('.', dot + 1);
    if (end == std::string_view::npos) return false;
    if (!absl::SimpleAtoi(std::string(name.substr(dot + 1, end - dot - 1)), &out.block)) continue;
    std::string_view role = name.substr(end + 1);
    if (role.ends_with(".weight")) role.remove_suffix(7);
    out.role = std::string(role.substr(0, 40));
    return out.block < kMaxColumns;
  }
  return false;
}

struct BitsMap {
  std::vector<std::string> rows;
  std::vector<MapCell> cells;
};

double Number(const Json& object, const char* name) { return NumberIn(object, name).value_or(0); }

PlotPoint BlockPoint(const Json& block, double index, const char* value) {
  return {index, NumberIn(block, value).value_or(NAN),
          fmt::format("{}: {:.4g}", TextIn(block, "name"), Number(block, value))};
}

}  // namespace

std::string BitsFigures(const Json& report) {
  std::map<std::string, BitsMap> parts;
  for (const Json& module : ListIn(report, "modules")) {
    Place place;
    if (!SplitName(TextIn(module, "tensor"), place)) continue;
    BitsMap& map = parts[TextIn(module, "part")];
    auto row = std::ranges::find(map.rows, place.role);
    if (row == map.rows.end()) row = map.rows.insert(map.rows.end(), place.role);
    const double bits = Number(module, "bits_per_weight");
    map.cells.push_back(
        {static_cast<size_t>(row - map.rows.begin()), place.block, bits,
         fmt::format("{}: {} {:.3f} bits per weight", TextIn(module, "tensor"), TextIn(module, "method"), bits)});
  }
  std::string out;
  for (const auto& [part, map] : parts) {
    out += MapPlot({fmt::format("bits per weight of the matrices of part {}", part), "block",
                    fmt::format("{}: bits per weight", part)},
                   map.rows, map.cells);
  }
  return out;
}

std::string ErrorFigure(const Json& report) {
  std::vector<PlotPoint> bars;
  for (const Json& block : ListIn(report, "blocks")) {
    bars.push_back(BlockPoint(block, static_cast<double>(bars.size()), "relative_error"));
  }
  return BarPlot({"relative error by block", "block, in the model's order", "relative error |W - W'| / |W|"}, bars);
}

std::string BlockLossFigure(const Json& report) {
  PlotSeries before{"before", {}}, after{"after", {}};
  double index = 0;
  for (const Json& block : ListIn(report, "blocks")) {
    if (NumberIn(block, "loss_before") && NumberIn(block, "loss_after")) {
      before.points.push_back(BlockPoint(block, index, "loss_before"));
      after.points.push_back(BlockPoint(block, index, "loss_after"));
    }
    index += 1;
  }
  return LinePlot({"loss of a block's output before and after its matrices were learned", "block, in the model's order",
                   "loss of the output"},
                  {before, after});
}

std::string TuningFigure(const Json& report) {
  PlotSeries series;
  for (const Json& one : ListIn(report, "tuning")) {
    const double step = Number(one, "first_step"), divergence = NumberIn(one, "divergence").value_or(NAN);
    series.points.push_back({step, divergence, fmt::format("step {:.0f}: {:.4g}", step, divergence)});
  }
  return LinePlot({"divergence from the model over the steps of the tuning", "step", "KL divergence"}, {series});
}

std::string PositionFigures(const Json& report) {
  std::string out;
  for (const Json& evaluation : ListIn(report, "evaluations")) {
    PlotSeries series;
    for (const Json& one : ListIn(evaluation, "kl_by_position")) {
      const double first = Number(one, "first"), kl = NumberIn(one, "mean_kl").value_or(NAN);
      series.points.push_back(
          {first, kl, fmt::format("positions {:.0f} to {:.0f}: {:.4g}", first, first + Number(one, "count") - 1, kl)});
    }
    const std::string name = TextIn(evaluation, "name");
    out += LinePlot({fmt::format("KL divergence by position, {}", name),
                     fmt::format("position in the window ({})", name), "mean KL divergence"},
                    {series});
  }
  return out;
}

}  // namespace gwq
