#include "core/quant/budget/choices.h"

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/format/format.h"

namespace gwq {
namespace {

constexpr double kOutlierRatios[] = {0.005, 0.01};
// With these forms to choose from, 5 % of SmolLM2's weights took wider codes at 4.60 bits: not worth more forms to
// search.
constexpr int kMostBitsWithOutliers = 4;

bool TakesOutliers(const Quantizer& quantizer, MatrixRequest request) {
  request.outlier_ratio = 0.5;
  return quantizer.Plan(request).outliers > 0;
}

absl::StatusOr<ModuleChoice> ChoiceOf(const Quantizer& quantizer, const MatrixRequest& request) {
  ModuleChoice choice{.packed = quantizer.Plan(request)};
  GWQ_RETURN_IF_ERROR(CheckPackedShape(choice.packed));
  choice.stored_bytes = LayoutOf(choice.packed).total;
  return choice;
}

}  // namespace

absl::StatusOr<std::vector<ModuleChoice>> ChoicesFor(const Quantizer& quantizer, const MatrixRequest& request,
                                                     bool outliers) {
  const bool some = outliers && request.outlier_ratio == 0 && TakesOutliers(quantizer, request);
  std::vector<ModuleChoice> choices;
  MatrixRequest one = request;
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    int64_t last_size = 0;
    for (const int64_t group_size : {128, 64, 32}) {
      one.shape.bits = bits;
      one.shape.group_size = std::min(group_size, (request.shape.cols + 7) / 8 * 8);
      if (one.shape.group_size == std::exchange(last_size, one.shape.group_size)) continue;
      one.outlier_ratio = request.outlier_ratio;
      GWQ_ASSIGN_OR_RETURN(choices.emplace_back(), ChoiceOf(quantizer, one));
      if (!some || bits > kMostBitsWithOutliers) continue;
      for (const double ratio : kOutlierRatios) {
        one.outlier_ratio = ratio;
        GWQ_ASSIGN_OR_RETURN(choices.emplace_back(), ChoiceOf(quantizer, one));
      }
    }
  }
  return choices;
}

}  // namespace gwq
