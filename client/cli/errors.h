// Errors on standard error: a line for people, or with --json an object for programs.
#pragma once

#include <nlohmann/json.hpp>

#include "absl/status/status.h"

namespace gwq::cli {

// {"code", "message"}; "field_violations", a list of {"field", "description"}, and "retry_delay_seconds" where the
// service told them.
[[nodiscard]] nlohmann::json ErrorJson(const absl::Status& status);

// {"error": error} as one line.
void PrintErrorJson(const nlohmann::json& error);

}  // namespace gwq::cli
