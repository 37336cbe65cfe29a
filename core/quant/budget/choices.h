// The forms that a target may give a matrix.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/quant/plan.h"

namespace gwq {

// 2, 3, 4, 5, 6 and 8 bits in groups of 128, 64 and 32 columns; of groups that are longer than a row one. With
// `outliers`, where the method takes some and the request names no share, also 0.5 and 1 % of outliers with 2, 3 and 4
// bits. The first form has the fewest bytes and the last the most; matrices with as many columns have as many forms.
// The bits and group size of `request` are not read. The error of CheckPackedShape if a form cannot be stored.
[[nodiscard]] absl::StatusOr<std::vector<ModuleChoice>> ChoicesFor(const Quantizer& quantizer,
                                                                   const MatrixRequest& request, bool outliers);

}  // namespace gwq
