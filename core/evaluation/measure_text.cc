// Perplexity and divergence on a text.
#include <fmt/format.h>

#include <algorithm>

#include "core/artifact/stored_dataset.h"
#include "core/base/status.h"
#include "core/base/thread_pool.h"
#include "core/evaluation/default_text.h"
#include "core/evaluation/measure.h"
#include "core/evaluation/text_walk.h"
#include "core/text/first_tokens.h"
#include "core/text/model_text.h"

namespace gwq {
namespace {

absl::StatusOr<std::string> ReadText(const EvaluationRun& run) {
  if (!run.task.dataset.empty()) {
    GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(run.task.dataset));
    GWQ_ASSIGN_OR_RETURN(const StoredDataset dataset, StoredDataset::Open(run.store, digest));
    return dataset.Text();
  }
  return run.task.text.empty() ? std::string(DefaultEvaluationText()) : run.task.text;
}

// The tokenizer's memory is gone when this returns.
absl::StatusOr<std::vector<int32_t>> ReadTokens(const EvaluationRun& run) {
  GWQ_ASSIGN_OR_RETURN(const std::string text, ReadText(run));
  GWQ_ASSIGN_OR_RETURN(const auto files, run.model.TextFiles());
  GWQ_ASSIGN_OR_RETURN(const auto model_text, ModelText::Load(files));
  GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, FirstTokens(model_text->tokenizer(), text, run.task.tokens));
  const int64_t vocabulary = run.model.model()->config().vocab_size;
  for (const int32_t token : tokens) {
    if (token >= vocabulary) {
      return absl::InvalidArgumentError(
          fmt::format("the tokenizer makes token {}, the model's vocabulary has {}", token, vocabulary));
    }
  }
  return tokens;
}

}  // namespace

absl::Status MeasureText(EvaluationRun& run, EvaluationResult& out) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, ReadTokens(run));
  if (tokens.size() < 2) {
    return InvalidField("task.text", fmt::format("gives {} tokens; at least two are needed", tokens.size()));
  }
  const std::unique_ptr<WeightLoader> loader = MakeWeightLoader(run.model, run.backend);
  std::unique_ptr<WeightLoader> reference_loader;
  std::optional<ModelSide> reference;
  if (run.reference != nullptr) {
    reference_loader = MakeWeightLoader(*run.reference, run.backend);
    reference.emplace(ModelSide{*run.reference->model(), *reference_loader});
  }
  ThreadPool pool(run.task.threads);
  const int64_t window = std::min(run.task.window, static_cast<int64_t>(tokens.size()));
  GWQ_ASSIGN_OR_RETURN(const TextEvaluation made,
                       EvaluateText({*run.model.model(), *loader}, reference ? &*reference : nullptr, run.backend,
                                    tokens, window, pool, run.progress));
  out.items = made.positions;
  out.metrics.push_back({"perplexity", made.perplexity, made.standard_error});
  if (!made.reference) return absl::OkStatus();
  out.metrics.push_back({"reference_perplexity", made.reference->perplexity, std::nullopt});
  out.metrics.push_back({"mean_kl", made.reference->mean_kl, std::nullopt});
  out.metrics.push_back({"p99_kl", made.reference->p99_kl, std::nullopt});
  out.metrics.push_back({"same_top1", made.reference->same_top1, std::nullopt});
  return absl::OkStatus();
}

}  // namespace gwq
