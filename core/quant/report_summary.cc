#include "core/quant/report_summary.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/io/json.h"
#include "core/io/json_fields.h"
#include "core/io/json_number.h"

namespace gwq {
namespace {

using Json = nlohmann::json;

const Json* FindMetric(const Json& evaluation, std::string_view name) {
  for (const Json& metric : ListIn(evaluation, "metrics")) {
    if (TextIn(metric, "name") == name) return &metric;
  }
  return nullptr;
}

std::optional<double> After(const Json& evaluation, std::string_view name) {
  const Json* const metric = FindMetric(evaluation, name);
  return metric == nullptr ? std::nullopt : NumberIn(*metric, "after");
}

void TakeText(const Json& evaluation, ReportSummary& out) {
  out.perplexity = After(evaluation, "perplexity");
  if (const Json* const metric = FindMetric(evaluation, "perplexity")) {
    out.perplexity_before = NumberIn(*metric, "before");
  }
  out.mean_kl = After(evaluation, "mean_kl");
  out.same_top1 = After(evaluation, "same_top1");
}

void TakeMetrics(const Json& evaluation, ReportSummary& out) {
  for (const Json& metric : ListIn(evaluation, "metrics")) {
    const std::optional<double> after = NumberIn(metric, "after");
    if (!after || out.metrics.size() == kMaxSummaryMetrics) continue;
    out.metrics.push_back({TextIn(evaluation, "name"), TextIn(metric, "name"), NumberIn(metric, "before"), *after});
  }
}

void SetNumber(Json& object, const char* name, const std::optional<double>& value) {
  if (value) object[name] = JsonNumber(*value);
}

Json MetricJson(const SummaryMetric& metric) {
  Json out = {{"evaluation", metric.evaluation}, {"metric", metric.metric}, {"after", JsonNumber(metric.after)}};
  SetNumber(out, "before", metric.before);
  return out;
}

}  // namespace

std::optional<ReportSummary> SummaryOfReport(std::string_view report_json) {
  const absl::StatusOr<Json> report = ParseJson("report", report_json);
  if (!report.ok() || !UintIn(*report, "total_bytes")) return std::nullopt;
  ReportSummary out;
  if (const Json* const recipe = FieldIn(*report, "recipe")) out.method = TextIn(*recipe, "method");
  out.source_bytes = UintIn(*report, "source_bytes").value_or(0);
  out.total_bytes = *UintIn(*report, "total_bytes");
  out.matrix_bits = NumberIn(*report, "matrix_bits_per_weight").value_or(0);
  out.model_bits = NumberIn(*report, "model_bits_per_weight").value_or(0);
  bool text = false;
  for (const Json& evaluation : ListIn(*report, "evaluations")) {
    if (TextIn(evaluation, "kind") != "text") {
      TakeMetrics(evaluation, out);
    } else if (!std::exchange(text, true)) {
      TakeText(evaluation, out);
    }
  }
  for (const Json& phase : ListIn(*report, "phases")) {
    out.seconds += NumberIn(phase, "seconds").value_or(0);
    out.peak_memory_bytes = std::max(out.peak_memory_bytes, UintIn(phase, "peak_memory_bytes").value_or(0));
  }
  return out;
}

std::string SummaryJson(const ReportSummary& summary) {
  Json out = {{"method", summary.method},
              {"source_bytes", summary.source_bytes},
              {"total_bytes", summary.total_bytes},
              {"matrix_bits", summary.matrix_bits},
              {"model_bits", summary.model_bits},
              {"seconds", summary.seconds},
              {"peak_memory_bytes", summary.peak_memory_bytes}};
  SetNumber(out, "perplexity_before", summary.perplexity_before);
  SetNumber(out, "perplexity", summary.perplexity);
  SetNumber(out, "mean_kl", summary.mean_kl);
  SetNumber(out, "same_top1", summary.same_top1);
  for (const SummaryMetric& metric : summary.metrics) out["metrics"].push_back(MetricJson(metric));
  return CanonicalJson(out);
}

std::optional<ReportSummary> ParseSummary(std::string_view json) {
  const absl::StatusOr<Json> tree = json.empty() ? absl::NotFoundError("none") : ParseJson("summary", json);
  if (!tree.ok() || !UintIn(*tree, "total_bytes")) return std::nullopt;
  ReportSummary out;
  out.method = TextIn(*tree, "method");
  out.source_bytes = UintIn(*tree, "source_bytes").value_or(0);
  out.total_bytes = *UintIn(*tree, "total_bytes");
  out.matrix_bits = NumberIn(*tree, "matrix_bits").value_or(0);
  out.model_bits = NumberIn(*tree, "model_bits").value_or(0);
  out.perplexity_before = NumberIn(*tree, "perplexity_before");
  out.perplexity = NumberIn(*tree, "perplexity");
  out.mean_kl = NumberIn(*tree, "mean_kl");
  out.same_top1 = NumberIn(*tree, "same_top1");
  for (const Json& metric : ListIn(*tree, "metrics")) {
    if (out.metrics.size() == kMaxSummaryMetrics) break;
    out.metrics.push_back({TextIn(metric, "evaluation"), TextIn(metric, "metric"), NumberIn(metric, "before"),
                           NumberIn(metric, "after").value_or(0)});
  }
  out.seconds = NumberIn(*tree, "seconds").value_or(0);
  out.peak_memory_bytes = UintIn(*tree, "peak_memory_bytes").value_or(0);
  return out;
}

}  // namespace gwq
