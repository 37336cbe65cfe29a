// What can be said of an export before it begins.
#pragma once

#include "absl/status/status.h"
#include "core/manifest/manifest.h"
#include "core/spec/export_options.h"

namespace gwq {

// INVALID_ARGUMENT at "format" if the format cannot hold the model's family; at "outliers", naming how many matrices
// and weights are concerned, if it cannot hold the artifact's outliers and `options` do not say what becomes of them.
[[nodiscard]] absl::Status CheckExport(const Manifest& artifact, const ExportOptions& options);

}  // namespace gwq
