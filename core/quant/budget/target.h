// A target of bits or bytes, divided among the matrices of a plan.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/quant/plan.h"

namespace gwq {

// What each form of each open module costs (rounding_loss.h), by tensor.
using FormLosses = std::map<std::string, std::vector<double>>;

// Fills in `plan.open_bytes`, and the totals as upper bounds. INVALID_ARGUMENT at "recipe.target.bits" or ".bytes" if
// no matrix is open, or the smallest forms are not within the target, or the largest forms fall below it; at
// "recipe.target.outliers" if it is set and no form of any open matrix has outliers.
[[nodiscard]] absl::Status TakeTarget(const Recipe& recipe, Plan& plan);

// Bits per weight of the quantized matrices if every open one had its largest form.
[[nodiscard]] double MostMatrixBits(const Plan& plan);

// Gives every open module the form that ChooseForms chooses, and the totals their exact values. Nothing is open then.
// With recipe.target.tie_fused the projections that fused kernels join take one choice. `losses` has every open module.
void DivideTarget(const Recipe& recipe, const FormLosses& losses, Plan& plan);

}  // namespace gwq
