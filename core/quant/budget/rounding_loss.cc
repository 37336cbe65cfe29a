#include "core/quant/budget/rounding_loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/base/status.h"
#include "core/quant/group_quantize.h"
#include "core/quant/range_search.h"

namespace gwq {
namespace {

// Fewer than where a matrix is made: the forms are compared with each other.
constexpr int kRatios = 9;

// Of one row in one form.
double RowLoss(std::span<const float> weights, std::span<const float> fisher, const PackedShape& shape) {
  const auto size = static_cast<size_t>(shape.group_size);
  double loss = 0;
  for (size_t begin = 0; begin < weights.size(); begin += size) {
    const size_t count = std::min(size, weights.size() - begin);
    const GroupRange range =
        SearchRange(weights.subspan(begin, count), fisher.subspan(begin, count), shape.bits, {}, kRatios);
    loss += static_cast<double>(range.error);
  }
  return loss / 2;
}

absl::Status CheckFisher(std::span<const float> fisher, int64_t cols, std::string_view tensor) {
  const auto bad = std::ranges::find_if(fisher, [](float value) { return !std::isfinite(value); });
  if (bad == fisher.end()) return absl::OkStatus();
  const int64_t at = bad - fisher.begin();
  return absl::FailedPreconditionError(fmt::format(
      "the Fisher information of {} is {} at row {}, column {}: the calibration sample drives the model out "
      "of range; use another sample, or give bits in the place of a target",
      tensor, *bad, at / cols, at % cols));
}

}  // namespace

absl::StatusOr<std::vector<double>> RoundingLosses(const TensorView& weights, std::span<const float> fisher,
                                                   std::span<const ModuleChoice> forms, std::string_view tensor,
                                                   ThreadPool& pool) {
  const int64_t rows = forms.front().packed.rows, cols = forms.front().packed.cols;
  GWQ_RETURN_IF_ERROR(CheckFinite(weights, cols, tensor, pool));
  GWQ_RETURN_IF_ERROR(CheckFisher(fisher, cols, tensor));
  std::vector<double> by_row(static_cast<size_t>(rows) * forms.size());
  pool.ParallelFor(rows, 1, [&](int64_t begin, int64_t end, int) {
    std::vector<float> row(static_cast<size_t>(cols));
    for (int64_t r = begin; r < end; ++r) {
      ToFloat(weights, r * cols, row);
      const auto importance = fisher.subspan(static_cast<size_t>(r * cols), row.size());
      for (size_t i = 0; i < forms.size(); ++i) {
        by_row[static_cast<size_t>(r) * forms.size() + i] = RowLoss(row, importance, forms[i].packed);
      }
    }
  });
  std::vector<double> losses(forms.size());
  for (size_t i = 0; i < by_row.size(); ++i) losses[i % forms.size()] += by_row[i];
  if (std::ranges::all_of(losses, [](double loss) { return std::isfinite(loss); })) return losses;
  return absl::FailedPreconditionError(
      fmt::format("what rounding {} costs cannot be told: its Fisher information or its weights are too large; use "
                  "another sample, or give bits in the place of a target",
                  tensor));
}

}  // namespace gwq
