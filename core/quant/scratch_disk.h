// How much disk a quantization job takes beside what it makes.
#pragma once

#include <cstdint>

#include "core/models/model.h"
#include "core/quant/plan.h"

namespace gwq {

// An upper bound in bytes: the states that checkpoints name (core/quant/job/job_checkpoint.h), of the last one and of
// the one that replaces it, and the walk's temporary file (core/calibration/state_store.h). docs/memory.md derives the
// terms. `plan.modules`, `samples` and `sees_image` must be filled.
[[nodiscard]] uint64_t ScratchDisk(const Model& model, const Plan& plan, const Recipe& recipe);

}  // namespace gwq
