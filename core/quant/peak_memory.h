// How much memory a quantization job takes at most.
#pragma once

#include <cstdint>

#include "core/quant/plan.h"

namespace gwq {

// An upper bound of the worker's resident memory in bytes until the artifact is made; docs/memory.md derives the terms.
// `plan.modules`, `samples` and `sees_image` must be filled. `dataset` is the manifest of the calibration's dataset;
// null if it has none.
[[nodiscard]] uint64_t PeakMemory(const Model& model, const Manifest& source, const Plan& plan, const Recipe& recipe,
                                  const Manifest* dataset = nullptr);

}  // namespace gwq
