// How well a model predicts a text, and how far its predictions are from another model's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/base/thread_pool.h"
#include "core/models/model.h"

namespace gwq {

// A model and where its weights come from.
struct ModelSide {
  const Model& model;
  WeightLoader& loader;
};

// The divergence at consecutive positions of a window, averaged over them and all windows.
struct KlAtPositions {
  int64_t first = 0;  // position in the window, from 0
  int64_t count = 0;  // of consecutive positions
  double mean_kl = 0;
};
// Parts of a window that the divergence is told for, at most.
inline constexpr int64_t kKlParts = 64;

// Over the same positions.
struct TextComparison {
  double perplexity = 0;  // of the reference
  double mean_kl = 0;     // of KL(reference || model) in nats
  double p99_kl = 0;      // the smallest value that 99 % of the positions do not exceed
  double same_top1 = 0;   // share of the positions where both have the same largest logit (ties: the lowest token)
  std::vector<KlAtPositions> kl_by_position;  // the window cut into equal parts, by position
};
// Over all predicted positions: every token of every window but the first.
struct TextEvaluation {
  int64_t window = 0;  // tokens in a window
  int64_t windows = 0;
  int64_t positions = 0;      // windows * (window - 1)
  double perplexity = 0;      // exp(mean negative log likelihood of the text's next token)
  double standard_error = 0;  // of the perplexity: that of the mean negative log likelihood, times the perplexity
  std::optional<TextComparison> reference;
};

// Cuts `tokens` into windows of `window` that do not overlap (what is left over is not used) and walks the model and,
// where one is given, the reference over all of them, one stage at a time: the hidden states of all windows are held,
// the weights of one stage. The loaders give weights of `backend`, and must not keep them alive. INVALID_ARGUMENT at
// "window" if there is no whole window or a window is shorter than 2, at "reference" if its vocabulary has
// another size. Reports phase "evaluate" by stages.
[[nodiscard]] absl::StatusOr<TextEvaluation> EvaluateText(ModelSide model, const ModelSide* reference, Backend& backend,
                                                          std::span<const int32_t> tokens, int64_t window,
                                                          ThreadPool& pool, Progress& progress);

}  // namespace gwq
