// A manifest's JSON form; docs/artifact-format.md describes every field.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/manifest/manifest.h"

namespace gwq {

[[nodiscard]] nlohmann::json ManifestTree(const Manifest& manifest);
// Types and known fields only; CheckManifest looks at the values.
[[nodiscard]] absl::StatusOr<Manifest> ReadManifestTree(std::string_view text);

}  // namespace gwq
