// Multiple choice by log-likelihood, as lm-evaluation-harness does it.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/artifact/stored_dataset.h"
#include "core/base/status.h"
#include "core/evaluation/choice_prompt.h"
#include "core/evaluation/choice_walk.h"
#include "core/evaluation/measure.h"
#include "core/io/json.h"
#include "core/io/json_number.h"
#include "core/prompt/choices.h"
#include "core/text/model_text.h"

namespace gwq {
namespace {

using LogLikelihoods = std::vector<std::vector<double>>;

// The prompts of one model: its tokenizer's memory is gone when this returns.
absl::StatusOr<std::vector<ChoicePrompt>> MakePrompts(const StoredModel& model, const EvaluationTask& task,
                                                      std::span<const DatasetItem> items, Progress& progress,
                                                      int64_t& truncated) {
  GWQ_ASSIGN_OR_RETURN(const auto files, model.TextFiles());
  GWQ_ASSIGN_OR_RETURN(const auto text, ModelText::Load(files));
  const ModelConfig& config = model.model()->config();
  const ChoicePromptMaker maker(*text, config, task.delimiter);
  std::vector<ChoicePrompt> prompts;
  for (const DatasetItem& item : items) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    GWQ_ASSIGN_OR_RETURN(MadeChoicePrompt made, maker.Make(item));
    truncated += made.truncated ? 1 : 0;
    prompts.push_back(std::move(made.prompt));
  }
  return prompts;
}

absl::StatusOr<LogLikelihoods> Score(const StoredModel& model, const EvaluationRun& run,
                                     std::span<const DatasetItem> items, std::string_view phase, int64_t& truncated) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<ChoicePrompt> prompts,
                       MakePrompts(model, run.task, items, run.progress, truncated));
  const std::unique_ptr<WeightLoader> loader = MakeWeightLoader(model, run.backend);
  return ScoreChoices(*model.model(), *loader, run.backend, prompts, phase, run.progress);
}

// What lm-evaluation-harness divides by: the choice's characters, without the delimiter.
std::vector<int64_t> Lengths(const DatasetItem& item) {
  std::vector<int64_t> lengths;
  for (const std::string& choice : item.choices) {
    const auto starts = std::ranges::count_if(choice, [](unsigned char c) { return (c & 0xC0) != 0x80; });
    lengths.push_back(starts);
  }
  return lengths;
}

}  // namespace

absl::Status MeasureChoices(EvaluationRun& run, EvaluationResult& out) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(run.task.dataset));
  GWQ_ASSIGN_OR_RETURN(const StoredDataset dataset, StoredDataset::Open(run.store, digest));
  GWQ_ASSIGN_OR_RETURN(const std::vector<DatasetItem> items, dataset.Items(run.task.kind, run.task.limit));
  GWQ_ASSIGN_OR_RETURN(const LogLikelihoods scores, Score(run.model, run, items, "evaluate", out.truncated));
  LogLikelihoods reference;
  if (run.reference != nullptr) {
    int64_t ignored = 0;
    GWQ_ASSIGN_OR_RETURN(reference, Score(*run.reference, run, items, "evaluate reference", ignored));
  }
  out.items = static_cast<int64_t>(items.size());
  std::vector<double> acc, acc_norm, kl, same;
  for (size_t i = 0; i < items.size(); ++i) {
    const auto answer = static_cast<size_t>(items[i].answer);
    const size_t best = BestChoice(scores[i]);
    const size_t best_norm = BestChoice(scores[i], Lengths(items[i]));
    acc.push_back(best == answer ? 1 : 0);
    acc_norm.push_back(best_norm == answer ? 1 : 0);
    nlohmann::json line = {{"line", items[i].line},
                           {"answer", answer},
                           {"best", best},
                           {"best_norm", best_norm},
                           {"log_likelihoods", nlohmann::json::array()}};
    for (const double score : scores[i]) line["log_likelihoods"].push_back(JsonNumber(score));
    if (run.reference != nullptr) {
      kl.push_back(KlDivergence(ChoiceLogProbabilities(reference[i]), ChoiceLogProbabilities(scores[i])));
      same.push_back(BestChoice(reference[i]) == best ? 1 : 0);
      line["kl"] = JsonNumber(kl.back());
    }
    out.items_jsonl += CanonicalJson(line) + "\n";
  }
  out.metrics.push_back(MeanMetric("acc", acc));
  out.metrics.push_back(MeanMetric("acc_norm", acc_norm));
  if (run.reference == nullptr) return absl::OkStatus();
  out.metrics.push_back(MeanMetric("mean_kl", kl));
  out.metrics.push_back(MeanMetric("same_choice", same));
  return absl::OkStatus();
}

EvaluationMetric MeanMetric(std::string name, const std::vector<double>& values) {
  EvaluationMetric metric{std::move(name), 0, std::nullopt};
  const auto count = static_cast<double>(values.size());
  for (const double value : values) metric.value += value;
  metric.value /= count;
  if (values.size() < 2 || !std::isfinite(metric.value)) return metric;
  double squares = 0;
  for (const double value : values) squares += std::pow(value - metric.value, 2);
  metric.standard_error = std::sqrt(squares / (count - 1) / count);
  return metric;
}

}  // namespace gwq
