// The forms that a target may give a matrix.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "core/quant/plan.h"

namespace gwq {

// 2, 3, 4, 5, 6 and 8 bits in groups of 128, 64 and 32 columns, by rising bytes; of groups that are longer than a row
// one. The bits and group size of `request` are not read. The error of CheckPackedShape if a form cannot be stored.
[[nodiscard]] absl::StatusOr<std::vector<ModuleChoice>> ChoicesFor(const Quantizer& quantizer,
                                                                   const MatrixRequest& request);

}  // namespace gwq
