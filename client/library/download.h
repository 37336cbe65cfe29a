// gwq artifacts pull: the original files again, byte for byte.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/library/connection.h"
#include "client/library/progress_sink.h"
#include "core/artifact/manifest.h"

namespace gwq::client {

// The manifest behind "artifacts/..." or "models/...", checked against `digest` where one is given.
[[nodiscard]] absl::StatusOr<Manifest> ReadManifest(const Connection& jobs, const std::string& name,
                                                    const std::string& digest);

struct PullSummary {
  uint64_t total_bytes = 0;
  uint64_t received_bytes = 0;  // the rest was there already
  int files = 0;
};

// Writes every file of the manifest below `folder`, and the manifest itself as gwq-manifest.json. A file appears under
// its name only when all of it is verified; a pull that was cut goes on inside the file where it stopped. Digests are
// checked blob by blob; DATA_LOSS names the blob that differs.
[[nodiscard]] absl::StatusOr<PullSummary> Pull(const Connection& jobs, const std::string& name,
                                               const std::string& folder, ProgressSink& progress);

// Checks a pulled folder against its own manifest: every size and digest. Needs no server.
[[nodiscard]] absl::Status VerifyFolder(const std::string& folder, ProgressSink& progress);

}  // namespace gwq::client
