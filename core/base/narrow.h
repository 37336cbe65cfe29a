// Floats as elements of a narrower type.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/base/tensor_view.h"

namespace gwq {

// The values as elements of F32, F16 or BF16, rounded to nearest, ties to even. What FP16 cannot hold becomes infinite.
[[nodiscard]] std::vector<std::byte> FromFloat(std::span<const float> values, DType type);

}  // namespace gwq
