#include "client/cli/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/cli/output.h"
#include "client/cli/table.h"
#include "core/io/json.h"
#include "core/io/json_number.h"

namespace gwq::cli {
namespace {

using nlohmann::json;

constexpr size_t kMaxShownBytes = 60;

// What the service stored of the run; an empty object where that is none.
json ResultOf(const v1::Evaluation& evaluation) {
  json result = json::parse(evaluation.result_json(), nullptr, /*allow_exceptions=*/false);
  return result.is_object() ? result : json::object();
}

json TaskOf(const json& result) {
  json task = result.value("task", json::object());
  if (!task.is_object()) return json::object();
  task.erase("name");
  return task;
}

std::string Shown(const json& value) {
  const std::string text = value.is_null() ? "not told" : CanonicalJson(value);
  return ToValidUtf8(text.substr(0, kMaxShownBytes)) + (text.size() > kMaxShownBytes ? "..." : "");
}

// A number, null if it is not told.
json ItemsOf(const v1::Evaluation& evaluation) { return ResultOf(evaluation).value("items", json()); }

struct ComparedMetric {
  std::string name;
  std::optional<v1::EvaluationMetric> a, b;

  // None either if both are infinite.
  [[nodiscard]] std::optional<double> difference() const {
    if (!a || !b || std::isnan(b->value() - a->value())) return std::nullopt;
    return b->value() - a->value();
  }
};

std::vector<ComparedMetric> Joined(const v1::Evaluation& a, const v1::Evaluation& b) {
  std::vector<ComparedMetric> out;
  for (const v1::EvaluationMetric& metric : a.metrics()) out.push_back({metric.name(), metric, std::nullopt});
  for (const v1::EvaluationMetric& metric : b.metrics()) {
    const auto found = std::ranges::find(out, metric.name(), &ComparedMetric::name);
    if (found == out.end()) {
      out.push_back({metric.name(), std::nullopt, metric});
    } else {
      found->b = metric;
    }
  }
  return out;
}

void SetSide(const std::string& side, const std::optional<v1::EvaluationMetric>& metric, json& out) {
  if (!metric) return;
  out[side] = JsonNumber(metric->value());
  if (metric->has_standard_error()) out[side + "_standard_error"] = JsonNumber(metric->standard_error());
}

json MetricJson(const ComparedMetric& metric) {
  json out = {{"name", metric.name}};
  SetSide("a", metric.a, out);
  SetSide("b", metric.b, out);
  if (const auto difference = metric.difference()) out["difference"] = JsonNumber(*difference);
  return out;
}

json ComparisonJson(const v1::Evaluation& a, const v1::Evaluation& b) {
  const std::vector<std::string> differences = MeasuredDifferently(a, b);
  json out = {{"a", a.name()},
              {"b", b.name()},
              {"same_task", differences.empty()},
              {"measured_differently", differences},
              {"items", {{"a", ItemsOf(a)}, {"b", ItemsOf(b)}}},
              {"metrics", json::array()}};
  for (const ComparedMetric& metric : Joined(a, b)) out["metrics"].push_back(MetricJson(metric));
  return out;
}

std::string Cell(const std::optional<v1::EvaluationMetric>& metric) {
  if (!metric) return "-";
  if (!metric->has_standard_error()) return fmt::format("{:.6g}", metric->value());
  return fmt::format("{:.6g} ± {:.2g}", metric->value(), metric->standard_error());
}

std::string ShortName(const v1::Evaluation& evaluation) {
  return evaluation.name().substr(evaluation.name().rfind('/') + 1);
}

void PrintComparisonTable(const v1::Evaluation& a, const v1::Evaluation& b) {
  std::vector<std::vector<std::string>> rows = {{"items", Shown(ItemsOf(a)), Shown(ItemsOf(b)), "-"}};
  for (const ComparedMetric& metric : Joined(a, b)) {
    const auto difference = metric.difference();
    rows.push_back(
        {metric.name, Cell(metric.a), Cell(metric.b), difference ? fmt::format("{:+.6g}", *difference) : "-"});
  }
  PrintTable({"METRIC", ShortName(a), ShortName(b), "DIFFERENCE"}, rows);
}

}  // namespace

std::vector<std::string> MeasuredDifferently(const v1::Evaluation& a, const v1::Evaluation& b) {
  std::vector<std::string> out;
  const auto compare = [&](const std::string& what, const json& of_a, const json& of_b) {
    if (of_a != of_b) out.push_back(fmt::format("{}: {} and {}", what, Shown(of_a), Shown(of_b)));
  };
  const json result_a = ResultOf(a), result_b = ResultOf(b);
  json task_a = TaskOf(result_a), task_b = TaskOf(result_b);
  if (task_a.empty() && task_b.empty()) out.push_back("task: unknown for both");
  json fields = task_a;
  fields.update(task_b);
  for (const auto& [field, unused] : fields.items()) compare("task." + field, task_a[field], task_b[field]);
  if (result_a.contains("reference") && result_b.contains("reference")) {
    compare("reference", result_a["reference"], result_b["reference"]);
  }
  return out;
}

void PrintComparison(Session& session, const v1::Evaluation& a, const v1::Evaluation& b) {
  if (session.json()) {
    Print("{}\n", CanonicalJson(ComparisonJson(a, b)));
    return;
  }
  for (const std::string& difference : MeasuredDifferently(a, b)) {
    session.terminal().Note(fmt::format("not measured alike: {}", difference));
  }
  PrintComparisonTable(a, b);
}

}  // namespace gwq::cli
