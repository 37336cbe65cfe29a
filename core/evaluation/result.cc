#include "core/evaluation/result.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/io/json_number.h"
#include "core/manifest/manifest.h"

namespace gwq {
namespace {

absl::StatusOr<ManifestFile> StoreFile(BlobStore& store, std::string path, std::string_view content) {
  ManifestFile file{std::move(path), content.size(), {}};
  GWQ_ASSIGN_OR_RETURN(file.digest, PutBlob(store, std::as_bytes(std::span(content))));
  return file;
}

std::string Value(const EvaluationMetric& metric) {
  if (!metric.standard_error) return fmt::format("{:.6g}", metric.value);
  return fmt::format("{:.6g} ± {:.2g}", metric.value, *metric.standard_error);
}

}  // namespace

const EvaluationMetric* EvaluationResult::Find(std::string_view name) const {
  for (const EvaluationMetric& metric : metrics) {
    if (metric.name == name) return &metric;
  }
  return nullptr;
}

absl::StatusOr<Digest> StoreEvaluation(BlobStore& store, const EvaluationResult& result) {
  Manifest manifest;
  manifest.kind = "evaluation";
  manifest.source = result.model;
  GWQ_ASSIGN_OR_RETURN(manifest.files.emplace_back(), StoreFile(store, "evaluation.json", EvaluationJson(result)));
  if (!result.items_jsonl.empty()) {
    GWQ_ASSIGN_OR_RETURN(manifest.files.emplace_back(), StoreFile(store, "items.jsonl", result.items_jsonl));
  }
  const std::string json = ManifestJson(manifest);
  return PutBlob(store, std::as_bytes(std::span(json)));
}

std::string EvaluationJson(const EvaluationResult& result) {
  nlohmann::json task = EvaluationTaskJson(result.task);
  task.erase("threads");  // they do not change a result, and its digest names it
  nlohmann::json out = {
      {"task", std::move(task)}, {"model", result.model.Hex()},   {"architecture", result.architecture},
      {"items", result.items},   {"truncated", result.truncated}, {"metrics", nlohmann::json::array()}};
  if (result.reference) out["reference"] = result.reference->Hex();
  for (const EvaluationMetric& metric : result.metrics) {
    nlohmann::json& one = out["metrics"].emplace_back();
    one = {{"name", metric.name}, {"value", JsonNumber(metric.value)}};
    if (metric.standard_error) one["standard_error"] = JsonNumber(*metric.standard_error);
  }
  return CanonicalJson(out);
}

std::string EvaluationMarkdown(const EvaluationResult& result) {
  std::string out = fmt::format("# Evaluation: {}\n\nModel `{}` ({})\n", result.task.title(), result.model.Hex(),
                                result.architecture);
  if (result.reference) out += fmt::format("Reference `{}`\n", result.reference->Hex());
  out += fmt::format("\n{} {}", result.items,
                     result.task.kind == EvaluationKind::kText ? "predicted tokens" : "questions");
  if (result.truncated > 0) out += fmt::format(", {} of them cut at their beginning", result.truncated);
  out += ".\n\n| metric | value |\n|---|---:|\n";
  for (const EvaluationMetric& metric : result.metrics) {
    out += fmt::format("| {} | {} |\n", metric.name, Value(metric));
  }
  return out;
}

}  // namespace gwq
