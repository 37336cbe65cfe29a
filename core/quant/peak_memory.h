// How much memory a quantization job takes at most.
#pragma once

#include <cstdint>

#include "core/quant/plan.h"

namespace gwq {

// An upper bound of the worker's resident memory in bytes until the artifact is made; docs/memory.md derives the terms.
// `plan.modules`, `samples` and `sees_image` must be filled. `datasets` are those of the calibration.
[[nodiscard]] uint64_t PeakMemory(const Model& model, const Manifest& source, const Plan& plan, const Recipe& recipe,
                                  const DatasetManifests& datasets = {});

}  // namespace gwq
