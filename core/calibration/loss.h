// What a calibration's gradients are gradients of.
#pragma once

#include <cstddef>
#include <span>

namespace gwq {

// Cross-entropy of each row of `logits` [rows, vocabulary] against its own largest logit (ties: the lowest token),
// summed and divided by `positions`. Overwrites the logits with its gradient with respect to them. `positions` is the
// number of rows of the loss over all samples, so that the rows may come in parts: the losses add up. (GWQ, arXiv
// 2411.00850: the label is the model's own next token.)
[[nodiscard]] double OwnLabelLoss(std::span<float> logits, size_t vocabulary, double positions);

}  // namespace gwq
