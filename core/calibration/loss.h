// What a calibration's gradients are gradients of.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/base/thread_pool.h"

namespace gwq {

// Cross-entropy of each row of `logits` [rows, vocabulary] against its own largest logit (ties: the lowest token),
// summed and divided by `positions`. Overwrites the logits with its gradient with respect to them. `positions` is the
// number of rows of the loss over all samples, so that the rows may come in parts: the losses add up. (GWQ, arXiv
// 2411.00850: the label is the model's own next token.)
[[nodiscard]] double OwnLabelLoss(std::span<float> logits, size_t vocabulary, double positions);

// The same against labels that are drawn from the model's own distribution: that of row i by draw number `first` + i of
// `seed` (core/base/draw.h). The expectation of the gradient's outer product is the Fisher information then.
[[nodiscard]] double DrawnLabelLoss(std::span<float> logits, size_t vocabulary, double positions, uint64_t seed,
                                    uint64_t first);

// Tokens that follow the rows of a text, and how much they count beside a reference.
struct NextTokens {
  std::span<const int32_t> tokens;  // of the first rows; below 0, or missing: none
  double share = 0;                 // 0 to 1
};

// The divergence KL(reference || model) of each row of `logits` [rows, vocabulary] from the same row of `reference`,
// summed and divided by `positions`. Overwrites the reference with its probabilities p, and the logits with the
// gradient of the cross-entropy against (1 - share) p + share [next token]; with share 0, which is the default, that of
// the divergence. Rows are shared out over the pool; the result does not depend on it.
[[nodiscard]] double DivergenceLoss(std::span<float> logits, std::span<float> reference, size_t vocabulary,
                                    double positions, ThreadPool& pool, const NextTokens& next = {});

}  // namespace gwq
