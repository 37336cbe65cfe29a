#include "core/quant/budget/rounding_loss.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>

#include "core/base/status.h"
#include "core/quant/group_quantize.h"
#include "core/quant/outliers.h"
#include "core/quant/range_search.h"

namespace gwq {
namespace {

// Fewer than where a matrix is made: the forms are compared with each other.
constexpr int kRatios = 9;

// Of one row in one form. `costs` has an element for each weight, or none.
double RowLoss(std::span<const float> weights, std::span<const float> fisher, const PackedShape& shape,
               std::span<float> costs = {}) {
  const auto size = static_cast<size_t>(shape.group_size);
  const auto top = static_cast<float>((1 << shape.bits) - 1);
  double loss = 0;
  for (size_t begin = 0; begin < weights.size(); begin += size) {
    const size_t count = std::min(size, weights.size() - begin);
    const GroupRange range =
        SearchRange(weights.subspan(begin, count), fisher.subspan(begin, count), shape.bits, {}, kRatios);
    loss += static_cast<double>(range.error);
    if (costs.empty()) continue;
    for (size_t i = begin; i < begin + count; ++i) {
      const float lost = weights[i] - (CodeOf(weights[i], range, top) - range.zero) * range.scale;
      costs[i] = std::min(lost * lost * fisher[i], std::numeric_limits<float>::max());
    }
  }
  return loss / 2;
}

// One matrix in forms that differ in their outliers alone, the first of which has none.
class FormRounding {
 public:
  FormRounding(const TensorView& weights, std::span<const float> fisher, const PackedShape& shape, ThreadPool& pool)
      : weights_(weights), fisher_(fisher), shape_(shape), pool_(pool), by_row_(static_cast<size_t>(shape.rows)) {}

  double Loss(bool want_costs) {
    if (want_costs) costs_.resize(fisher_.size());
    return SumOfRows([&](size_t begin, std::span<float> row, std::span<const float> fisher) {
      const std::span<float> costs = want_costs ? std::span(costs_).subspan(begin, row.size()) : std::span<float>();
      return RowLoss(row, fisher, shape_, costs);
    });
  }

  // After Loss(true).
  absl::StatusOr<double> LossWithout(int64_t outliers, std::string_view tensor) {
    GWQ_ASSIGN_OR_RETURN(const std::vector<int64_t> picked, LargestScores(costs_, outliers, tensor));
    return SumOfRows([&](size_t begin, std::span<float> row, std::span<const float> fisher) {
      std::vector<float> own(fisher.begin(), fisher.end());
      auto at = std::ranges::lower_bound(picked, static_cast<int64_t>(begin));
      for (; at != picked.end() && *at < static_cast<int64_t>(begin + row.size()); ++at) {
        const size_t column = static_cast<size_t>(*at) - begin;
        row[column] = own[column] = 0.0F;
      }
      return RowLoss(row, own, shape_);
    });
  }

 private:
  template <class LossOfRow>
  double SumOfRows(const LossOfRow& loss) {
    const auto cols = static_cast<size_t>(shape_.cols);
    pool_.ParallelFor(shape_.rows, 1, [&](int64_t from, int64_t to, int) {
      std::vector<float> row(cols);
      for (int64_t r = from; r < to; ++r) {
        ToFloat(weights_, r * shape_.cols, row);
        const size_t begin = static_cast<size_t>(r) * cols;
        by_row_[static_cast<size_t>(r)] = loss(begin, row, fisher_.subspan(begin, cols));
      }
    });
    return std::accumulate(by_row_.begin(), by_row_.end(), 0.0);
  }

  const TensorView& weights_;
  std::span<const float> fisher_;
  const PackedShape& shape_;
  ThreadPool& pool_;
  std::vector<double> by_row_;
  std::vector<float> costs_;
};

bool SameCodes(const PackedShape& a, const PackedShape& b) { return a.bits == b.bits && a.group_size == b.group_size; }

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
  const int64_t cols = forms.front().packed.cols;
  GWQ_RETURN_IF_ERROR(CheckFinite(weights, cols, tensor, pool));
  GWQ_RETURN_IF_ERROR(CheckFisher(fisher, cols, tensor));
  std::vector<double> losses;
  std::optional<FormRounding> form;
  for (size_t i = 0; i < forms.size(); ++i) {
    const PackedShape& shape = forms[i].packed;
    if (form && shape.outliers > 0 && SameCodes(shape, forms[i - 1].packed)) {
      GWQ_ASSIGN_OR_RETURN(losses.emplace_back(), form->LossWithout(shape.outliers, tensor));
      continue;
    }
    form.emplace(weights, fisher, shape, pool);
    const bool more = i + 1 < forms.size() && SameCodes(shape, forms[i + 1].packed);
    losses.push_back(form->Loss(more));
  }
  if (std::ranges::all_of(losses, [](double loss) { return std::isfinite(loss); })) return losses;
  return absl::FailedPreconditionError(
      fmt::format("what rounding {} costs cannot be told: its Fisher information or its weights are too large; use "
                  "another sample, or give bits in the place of a target",
                  tensor));
}

}  // namespace gwq
