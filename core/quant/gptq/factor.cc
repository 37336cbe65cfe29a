#include "core/quant/gptq/factor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/base/status.h"

namespace gwq {
namespace {

absl::Status CheckGram(std::span<const float> gram, int64_t size, std::string_view tensor) {
  if (static_cast<int64_t>(gram.size()) != size * size) {
    return absl::InternalError(
        fmt::format("{} reads {} values, and its Gram matrix has {} entries", tensor, size, gram.size()));
  }
  const auto bad = std::ranges::find_if(gram, [](float value) { return !std::isfinite(value); });
  if (bad == gram.end()) return absl::OkStatus();
  const int64_t at = bad - gram.begin();
  return absl::FailedPreconditionError(fmt::format(
      "the Gram matrix of what {} reads is {} at row {}, column {}: the calibration sample drives the model "
      "out of range; use another sample, keep this module with a rule, or use method rtn",
      tensor, *bad, at / size, at % size));
}

// In `order`, inputs that are always 0 with a diagonal of 1.
std::vector<float> Ordered(std::span<const float> gram, int64_t size, std::span<const int32_t> order) {
  std::vector<float> out(gram.begin(), gram.end());
  const auto n = static_cast<size_t>(size);
  for (size_t row = 0; row < n && !order.empty(); ++row) {
    const float* const from = gram.data() + static_cast<size_t>(order[row]) * n;
    for (size_t col = 0; col < n; ++col) out[row * n + col] = from[order[col]];
  }
  for (size_t i = 0; i < n; ++i) {
    if (out[i * n + i] == 0.0F) out[i * n + i] = 1.0F;
  }
  return out;
}

}  // namespace

absl::StatusOr<std::vector<float>> CompensationFactor(std::span<const float> gram, int64_t size, double damping,
                                                      std::span<const int32_t> order, std::string_view tensor,
                                                      const Solver& solver) {
  if (absl::Status status = CheckGram(gram, size, tensor); !status.ok()) return status;
  std::vector<float> damped = Ordered(gram, size, order);
  const auto n = static_cast<size_t>(size);
  double mean = 0;
  for (size_t i = 0; i < n; ++i) mean += damped[i * n + i] / static_cast<double>(size);
  double added = 0;
  for (double share = damping;; share *= 10) {
    const double wanted = std::min(share, 1.0) * mean;
    for (size_t i = 0; i < n; ++i) damped[i * n + i] += static_cast<float>(wanted - added);
    added = wanted;
    absl::StatusOr<std::vector<float>> factor = solver.InverseFactor(damped, size);
    if (factor.ok() || !absl::IsFailedPrecondition(factor.status()) || share >= 1.0) return factor;
  }
}

std::vector<int32_t> ActivationOrder(std::span<const float> gram, int64_t size) {
  std::vector<int32_t> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  const auto diagonal = [&](int32_t i) { return gram[static_cast<size_t>(i * (size + 1))]; };
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return diagonal(a) > diagonal(b); });
  return order;
}

uint64_t CompensationBytes(const PackedShape& shape) {
  const auto cols = static_cast<uint64_t>(shape.cols), rows = static_cast<uint64_t>(shape.rows);
  return 5 * cols * cols * sizeof(float) + rows * cols + (uint64_t{1} << 20);
}

}  // namespace gwq
