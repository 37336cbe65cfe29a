// What the rounding of a matrix costs, as measured by the gradients of the model's own predictions.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/tensor_view.h"
#include "core/base/thread_pool.h"
#include "core/quant/plan.h"

namespace gwq {

// For each form the divergence from the full-precision model that rounding to it is expected to cause, in nats per
// token: half the sum over the weights of fisher * (w - w')^2, with each group's range as range_search.h finds it for
// these importances, scales in FP16 (the diagonal of the second-order term of the divergence, as in arXiv 2306.07629).
// `fisher` [rows, cols] has the mean over tokens of the squared gradient of a token's cross-entropy with a drawn label.
// A form's outliers cost nothing: they are the weights with the largest fisher * (w - w')^2 of the form without them,
// and the ranges are then those of the others. This takes 8 bytes a weight, and such a form comes behind the one
// without outliers that is else the same; where there is none, its outliers count as rounded. Does not depend on the
// pool's size. FAILED_PRECONDITION naming `tensor` and the position of a weight or a Fisher value that is not finite,
// or `tensor` if a loss is not.
[[nodiscard]] absl::StatusOr<std::vector<double>> RoundingLosses(const TensorView& weights,
                                                                 std::span<const float> fisher,
                                                                 std::span<const ModuleChoice> forms,
                                                                 std::string_view tensor, ThreadPool& pool);

}  // namespace gwq
