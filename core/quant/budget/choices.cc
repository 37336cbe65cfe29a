#include "core/quant/budget/choices.h"

#include <algorithm>

#include "core/base/status.h"
#include "core/format/format.h"

namespace gwq {

absl::StatusOr<std::vector<ModuleChoice>> ChoicesFor(const Quantizer& quantizer, const MatrixRequest& request) {
  std::vector<ModuleChoice> choices;
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    for (const int64_t group_size : {128, 64, 32}) {
      MatrixRequest one = request;
      one.shape.bits = bits;
      one.shape.group_size = std::min(group_size, (request.shape.cols + 7) / 8 * 8);
      ModuleChoice choice{.packed = quantizer.Plan(one)};
      if (!choices.empty() && choices.back().packed == choice.packed) continue;
      GWQ_RETURN_IF_ERROR(CheckPackedShape(choice.packed));
      choice.stored_bytes = LayoutOf(choice.packed).total;
      choices.push_back(choice);
    }
  }
  return choices;
}

}  // namespace gwq
