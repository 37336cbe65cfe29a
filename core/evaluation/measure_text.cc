// Perplexity and divergence on a text.
#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <vector>

#include "core/artifact/stored_dataset.h"
#include "core/base/status.h"
#include "core/base/thread_pool.h"
#include "core/evaluation/measure.h"
#include "core/evaluation/task_tokens.h"
#include "core/evaluation/text_walk.h"

namespace gwq {

absl::Status MeasureText(EvaluationRun& run, EvaluationResult& out) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, TextTaskTokens(run.store, run.model, run.task, "task"));
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
  out.metrics.push_back({"perplexity", made.perplexity, std::nullopt});
  if (std::isfinite(made.perplexity)) out.metrics.back().standard_error = made.standard_error;
  if (!made.reference) return absl::OkStatus();
  out.metrics.push_back({"reference_perplexity", made.reference->perplexity, std::nullopt});
  out.metrics.push_back({"mean_kl", made.reference->mean_kl, std::nullopt});
  out.metrics.push_back({"p99_kl", made.reference->p99_kl, std::nullopt});
  out.metrics.push_back({"same_top1", made.reference->same_top1, std::nullopt});
  out.kl_by_position = made.reference->kl_by_position;
  return absl::OkStatus();
}

}  // namespace gwq
