#include "core/quant/contract.h"

#include <fmt/format.h>

#include <string>

namespace gwq {

absl::Status CheckPlannedBits(const QualityContract& contract, const Plan& plan, std::string_view path) {
  QualityMeasures planned;
  planned.bits = plan.model_bits_per_weight;
  const std::vector<ContractMiss> misses = CheckContract({.max_bits = contract.max_bits}, planned);
  if (misses.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      fmt::format("{}.{}, which the recipe's plan tells; quantize to fewer bits, keep fewer matrices, quantize "
                  "head and embedding (head_bits, embedding_bits), or raise the bound",
                  path, MissesText(misses)));
}

QualityMeasures MeasuresOf(const Report& report) {
  QualityMeasures out;
  out.bits = report.model_bits_per_weight();
  for (const ReportEvaluation& evaluation : report.evaluations) {
    MeasuredEvaluation& one = out.evaluations.emplace_back();
    one.name = evaluation.after.task.title();
    for (const EvaluationMetric& metric : evaluation.after.metrics) one.metrics.push_back({metric.name, metric.value});
  }
  return out;
}

}  // namespace gwq
