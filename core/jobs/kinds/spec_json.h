// Reading the JSON of a spec; private to the kinds.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/sha256.h"

namespace gwq {

// INVALID_ARGUMENT at "spec" for anything but an object.
[[nodiscard]] absl::StatusOr<nlohmann::json> ParseSpecObject(std::string_view json);
// INVALID_ARGUMENT at "spec.<key>" if it is missing or of another type.
[[nodiscard]] absl::StatusOr<std::string> SpecText(const nlohmann::json& spec, const char* key);
[[nodiscard]] absl::StatusOr<Digest> SpecDigest(const nlohmann::json& spec, const char* key);

}  // namespace gwq
