#include "core/export/loss.h"

#include <fmt/format.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/io/json.h"

namespace gwq {
namespace {

// Half a step of FP16: relative among normal numbers, absolute among subnormal ones.
float HalfStep(float weight) { return std::max(std::abs(weight) * 0x1p-11F, 0x1p-25F); }

nlohmann::json LossJson(const WeightLoss& loss) {
  return {{"weights", loss.weights}, {"changed", loss.changed}, {"relative_squared_error", loss.relative()}};
}

}  // namespace

void WeightLoss::Add(std::span<const float> ours, std::span<const float> written) {
  for (size_t i = 0; i < ours.size(); ++i) {
    const float difference = written[i] - ours[i];
    // A weight that is not finite is changed unless it is written as it is.
    if (!(std::abs(difference) <= HalfStep(ours[i]))) ++changed;
    if (!std::isfinite(difference)) continue;
    error += static_cast<double>(difference) * difference;
    power += static_cast<double>(ours[i]) * ours[i];
  }
  weights += static_cast<int64_t>(ours.size());
}

void WeightLoss::Add(const WeightLoss& other) {
  weights += other.weights;
  changed += other.changed;
  error += other.error;
  power += other.power;
}

WeightLoss ExportReport::Total() const {
  WeightLoss total;
  for (const ExportedMatrix& matrix : matrices) total.Add(matrix.loss);
  return total;
}

std::vector<std::string> ExportReport::Lines() const {
  std::map<std::string, int64_t> counts;
  for (const ExportedMatrix& matrix : matrices) ++counts[matrix.stored];
  std::vector<std::string> lines;
  for (const auto& [stored, count] : counts) {
    lines.push_back(fmt::format("{} of {} matrices became {}", count, matrices.size(), stored));
  }
  const WeightLoss total = Total();
  lines.push_back(fmt::format("{} of {} weights changed by more than FP16 rounds; relative squared error {:.3g}",
                              total.changed, total.weights, total.relative()));
  lines.insert(lines.end(), notes.begin(), notes.end());
  return lines;
}

std::string ExportReport::Json(nlohmann::json options) const {
  nlohmann::json list = nlohmann::json::array();
  for (const ExportedMatrix& matrix : matrices) {
    nlohmann::json entry = LossJson(matrix.loss);
    entry["name"] = matrix.name;
    entry["stored"] = matrix.stored;
    list.push_back(std::move(entry));
  }
  nlohmann::json out = std::move(options);
  out.update(LossJson(Total()));
  out["matrices"] = std::move(list);
  if (!notes.empty()) out["notes"] = notes;
  return CanonicalJson(out);
}

}  // namespace gwq
