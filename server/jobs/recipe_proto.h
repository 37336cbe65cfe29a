// The recipe's proto and core's, field by field. A test holds both to RecipeFields().
#pragma once

#include "absl/status/statusor.h"
#include "core/quant/plan.h"
#include "core/spec/quantize_evaluations.h"
#include "core/spec/recipe.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq {

// Unset fields take core's defaults; the result is checked. INVALID_ARGUMENT names "recipe.<field>".
[[nodiscard]] absl::StatusOr<Recipe> RecipeFromProto(const v1::Recipe& proto);
// The fields of one version ago, which no recipe has any more.
[[nodiscard]] OldTextEvaluation OldTextEvaluationFromProto(const v1::Recipe& proto);
[[nodiscard]] v1::Recipe RecipeToProto(const Recipe& recipe);
[[nodiscard]] v1::Plan PlanToProto(const Plan& plan);

}  // namespace gwq
