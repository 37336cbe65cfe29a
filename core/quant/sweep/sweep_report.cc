#include "core/quant/sweep/sweep_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_number.h"
#include "core/quant/sweep/sweep_table.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

// A sweep reports of models with many matrices.
constexpr JsonLimits kReportLimits{.max_bytes = size_t{64} << 20};

absl::Status NoRow(std::string_view why) { return absl::DataLossError(fmt::format("a sweep's row: {}", why)); }

}  // namespace

absl::StatusOr<SweepRow> SweepRowOf(std::string label, std::string artifact, std::string_view report_json) {
  const auto report = ParseJson("report", report_json, kReportLimits);
  if (!report.ok() || !report->is_object()) return NoRow("the report is no object");
  const auto number = [&](const char* key) { return report->contains(key) ? NumberOf((*report)[key]) : std::nullopt; };
  const auto matrix = number("matrix_bits_per_weight"), model = number("model_bits_per_weight");
  const auto bytes = number("total_bytes");
  const std::string digest = report->contains("artifact") && (*report)["artifact"].is_string()
                                 ? (*report)["artifact"].get<std::string>()
                                 : std::string();
  if (!matrix || !model || !bytes) return NoRow("the report tells no size");
  SweepRow row{
      .label = std::move(label), .artifact = std::move(artifact), .digest = {}, .metrics = {}, .tokens_per_second = {}};
  GWQ_ASSIGN_OR_RETURN(row.digest, Digest::Parse(digest));
  row.matrix_bits = *matrix;
  row.model_bits = *model;
  row.total_bytes = static_cast<uint64_t>(*bytes);
  for (const Json& evaluation : report->value("evaluations", Json::array())) {
    for (const Json& metric : evaluation.value("metrics", Json::array())) {
      const auto value = metric.contains("after") ? NumberOf(metric["after"]) : std::nullopt;
      if (value) row.metrics.push_back({evaluation.value("name", ""), metric.value("name", ""), *value});
    }
  }
  return row;
}

Json SweepRowJson(const SweepRow& row) {
  Json out = {{"label", row.label},
              {"artifact", row.artifact},
              {"digest", row.digest.Hex()},
              {"matrix_bits_per_weight", row.matrix_bits},
              {"model_bits_per_weight", row.model_bits},
              {"total_bytes", row.total_bytes},
              {"metrics", Json::array()},
              {"pareto", row.pareto}};
  for (const SweepRow::Metric& metric : row.metrics) {
    out["metrics"].push_back(
        {{"evaluation", metric.evaluation}, {"name", metric.name}, {"value", JsonNumber(metric.value)}});
  }
  if (row.tokens_per_second) out["tokens_per_second"] = *row.tokens_per_second;
  return out;
}

absl::StatusOr<SweepRow> ParseSweepRow(const Json& json) {
  const auto is = [](const Json& object, const char* key, bool (Json::*test)() const noexcept) {
    return object.is_object() && object.contains(key) && (object[key].*test)();
  };
  if (!is(json, "label", &Json::is_string) || !is(json, "artifact", &Json::is_string) ||
      !is(json, "digest", &Json::is_string) || !is(json, "matrix_bits_per_weight", &Json::is_number) ||
      !is(json, "model_bits_per_weight", &Json::is_number) || !is(json, "total_bytes", &Json::is_number_unsigned) ||
      !is(json, "metrics", &Json::is_array)) {
    return NoRow("malformed");
  }
  SweepRow row{
      .label = json["label"], .artifact = json["artifact"], .digest = {}, .metrics = {}, .tokens_per_second = {}};
  const auto digest = Digest::Parse(json["digest"].get<std::string>());
  if (!digest.ok()) return NoRow("no digest");
  row.digest = *digest;
  row.matrix_bits = json["matrix_bits_per_weight"];
  row.model_bits = json["model_bits_per_weight"];
  row.total_bytes = json["total_bytes"];
  for (const Json& metric : json["metrics"]) {
    if (!is(metric, "evaluation", &Json::is_string) || !is(metric, "name", &Json::is_string)) return NoRow("a metric");
    const auto value = metric.contains("value") ? NumberOf(metric["value"]) : std::nullopt;
    if (!value) return NoRow("a metric without a value");
    row.metrics.push_back({metric["evaluation"], metric["name"], *value});
  }
  if (json.contains("tokens_per_second")) {
    if (!is(json, "tokens_per_second", &Json::is_number)) return NoRow("malformed");
    row.tokens_per_second = json["tokens_per_second"].get<double>();
  }
  return row;
}

void FinishSweep(SweepReport& report) {
  std::ranges::stable_sort(report.rows, {}, &SweepRow::total_bytes);
  const auto metric = LossOf(report);
  for (SweepRow& row : report.rows) {
    const auto loss = metric ? ValueOf(row, *metric) : std::nullopt;
    row.pareto = loss && std::isfinite(*loss) && std::ranges::none_of(report.rows, [&](const SweepRow& other) {
                   const auto its = ValueOf(other, *metric);
                   if (!its || row.total_bytes < other.total_bytes || *loss < *its) return false;
                   return other.total_bytes < row.total_bytes || *its < *loss;
                 });
  }
}

std::string SweepJson(const SweepReport& report) {
  Json out = {{"kind", "sweep"},
              {"name", report.name},
              {"model", report.model},
              {"source", report.source.Hex()},
              {"architecture", report.architecture},
              {"points", Json::array()}};
  if (const auto loss = LossOf(report)) out["loss"] = {{"evaluation", loss->evaluation}, {"name", loss->name}};
  for (const SweepRow& row : report.rows) out["points"].push_back(SweepRowJson(row));
  return CanonicalJson(out);
}

std::string SweepMarkdown(const SweepReport& report) {
  const SweepTable table = TableOf(report);
  std::string out =
      fmt::format("# Sweep {}\n\nModel `{}` ({})\n\n", report.name, report.source.Hex(), report.architecture);
  const auto line = [&](const std::vector<std::string>& cells) {
    for (const std::string& cell : cells) out += fmt::format("| {} ", cell);
    out += "|\n";
  };
  line(table.header);
  out += "|---|";
  for (size_t i = 1; i < table.header.size(); ++i) out += "---:|";
  out += "\n";
  for (const std::vector<std::string>& row : table.rows) line(row);
  return out + "\n" + ParetoSentence(report) + "\n";
}

}  // namespace gwq
