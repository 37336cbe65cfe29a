// gwq artifacts pull: the original files again, byte for byte.
#pragma once

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/library/connection.h"
#include "client/library/progress_sink.h"
#include "client/library/retry.h"
#include "core/base/sha256.h"

namespace gwq::client {

struct PullSummary {
  Digest digest;  // of the manifest
  uint64_t total_bytes = 0;
  uint64_t received_bytes = 0;  // the rest was there already
  int files = 0;
};

// Writes every file of the manifest of `name`, which may be in any collection, below `folder`, and the manifest itself
// as gwq-manifest.json. A file appears under its name only when all of it is verified; a pull that was cut goes on
// inside the file where it stopped, and so does a stream that breaks. The folder is locked meanwhile: UNAVAILABLE at
// once if another pull writes it. FAILED_PRECONDITION if it was used for another manifest, whose files would stay
// beside these. The manifest is checked against the digest that the service tells for the name, and the files against
// it, blob by blob; DATA_LOSS names what differs.
[[nodiscard]] absl::StatusOr<PullSummary> Pull(const Connection& jobs, const std::string& name,
                                               const std::string& folder, ProgressSink& progress,
                                               const RetryOptions& retry = {});

// Checks a pulled folder against its own manifest, every size and digest, and the manifest against `digest` where one
// is given: without it, who can change the folder can change both. FAILED_PRECONDITION if what was measured does not
// meet the quality contract that the manifest holds. The manifest's digest. Needs no server.
[[nodiscard]] absl::StatusOr<Digest> VerifyFolder(const std::string& folder, const std::optional<Digest>& digest,
                                                  ProgressSink& progress);

}  // namespace gwq::client
