// The recipe on the wire and in core. tests/server/jobs/recipe_proto_test.cc holds that no field of core's table is
// missing.
#pragma once

#include "absl/status/statusor.h"
#include "core/quant/plan.h"
#include "core/quant/recipe.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq {

// Unset fields take core's defaults; the result is checked (CheckRecipe).
[[nodiscard]] absl::StatusOr<Recipe> RecipeFromProto(const v1::Recipe& from);
// Every field set.
[[nodiscard]] v1::Recipe RecipeToProto(const Recipe& from);

[[nodiscard]] v1::Plan PlanToProto(const Plan& from);

}  // namespace gwq
