// Recipes as people write them: a JSON file with the field names of core/spec/recipe.h, and one-line rules.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq::client {

// Enum values are the lower-case names ("gwq", "last", ...) or the proto's. INVALID_ARGUMENT names what is unknown.
[[nodiscard]] absl::StatusOr<v1::Recipe> ParseRecipeFile(const std::string& json);

// "PATTERN:bits=3,group_size=64,method=rtn,outlier_ratio=0.02,kind=linear,part=vision". INVALID_ARGUMENT for a key that
// is unknown or given twice, naming it.
[[nodiscard]] absl::Status AddRule(std::string_view text, v1::Recipe& recipe);

// "dataset=NAME,weight=2": a part of a calibration's mix, whose source the recipe then has. Keys: source, dataset,
// blob, text, text_file (a path, which becomes text), weight. What is named tells the source; with nothing it is the
// default set. INVALID_ARGUMENT as AddRule, and for a file that cannot be read.
[[nodiscard]] absl::Status AddPart(std::string_view text, v1::Recipe& recipe);

}  // namespace gwq::client
