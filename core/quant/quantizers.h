// The methods of quantization that there are.
#pragma once

#include "core/quant/quantizer.h"

namespace gwq {

// Null for Method::kKeep, which stores a tensor as it came. Lives as long as the program.
[[nodiscard]] const Quantizer* FindQuantizer(Method method);

}  // namespace gwq
