#include "core/spec/quality_gate.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_number.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

Json MeasuresJson(const QualityMeasures& measures) {
  Json out = {{"evaluations", Json::array()}};
  if (measures.bits) out["bits"] = *measures.bits;
  for (const MeasuredEvaluation& one : measures.evaluations) {
    Json metrics = Json::object();
    for (const MeasuredMetric& metric : one.metrics) metrics[metric.name] = JsonNumber(metric.value);
    out["evaluations"].push_back({{"name", one.name}, {"metrics", std::move(metrics)}});
  }
  return out;
}

absl::StatusOr<MeasuredEvaluation> ParseEvaluation(const Json& json, const std::string& path) {
  const bool shaped = json.is_object() && json.contains("name") && json["name"].is_string() &&
                      json.contains("metrics") && json["metrics"].is_object();
  if (!shaped) return InvalidField(path, "has no name or no metrics");
  MeasuredEvaluation out{json["name"].get<std::string>(), {}};
  for (const auto& [name, value] : json["metrics"].items()) {
    const std::optional<double> number = NumberOf(value);
    if (!number) return InvalidField(fmt::format("{}.metrics.{}", path, name.substr(0, 64)), "is not a number");
    out.metrics.push_back({name, *number});
  }
  return out;
}

absl::StatusOr<QualityMeasures> ParseMeasures(const Json& json) {
  QualityMeasures out;
  if (!json.is_object()) return InvalidField("quality.measures", "is not an object");
  if (json.contains("bits")) {
    out.bits = NumberOf(json["bits"]);
    if (!out.bits) return InvalidField("quality.measures.bits", "is not a number");
  }
  if (!json.contains("evaluations")) return out;
  if (!json["evaluations"].is_array()) return InvalidField("quality.measures.evaluations", "is not a list");
  for (const Json& one : json["evaluations"]) {
    const std::string path = fmt::format("quality.measures.evaluations[{}]", out.evaluations.size());
    GWQ_ASSIGN_OR_RETURN(out.evaluations.emplace_back(), ParseEvaluation(one, path));
  }
  return out;
}

}  // namespace

std::string QualityGateJson(const QualityGate& gate) {
  return CanonicalJson({{"contract", QualityContractJson(gate.contract)}, {"measures", MeasuresJson(gate.measures)}});
}

absl::StatusOr<QualityGate> ParseQualityGate(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const Json tree, ParseJson("quality", json));
  if (!tree.is_object() || !tree.contains("contract")) return InvalidField("quality.contract", "missing");
  QualityGate gate;
  GWQ_ASSIGN_OR_RETURN(gate.contract, ParseQualityContract(tree["contract"], "quality.contract"));
  // An artifact that says nothing of itself meets no bound: that is told by the bound.
  if (tree.contains("measures")) {
    GWQ_ASSIGN_OR_RETURN(gate.measures, ParseMeasures(tree["measures"]));
  }
  return gate;
}

absl::Status CheckStoredGate(std::string_view gate_json) {
  if (gate_json.empty()) return absl::OkStatus();
  const absl::StatusOr<QualityGate> gate = ParseQualityGate(gate_json);
  if (!gate.ok()) {
    return absl::FailedPreconditionError(
        fmt::format("the quality contract in the artifact's manifest cannot be read: {}", MessageOf(gate.status())));
  }
  const std::vector<ContractMiss> misses = CheckContract(gate->contract, gate->measures);
  if (misses.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("what was measured of the artifact does not meet the quality contract in its manifest: {}; quantize "
                  "the model again",
                  MissesText(misses)));
}

}  // namespace gwq
