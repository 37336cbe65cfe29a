// Asking gwq-infer.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "client/library/canceller.h"
#include "client/library/connection.h"
#include "gwq/v1/inference.pb.h"

namespace gwq::client {

// Streams an answer; `chunk` is called for each part in order. Returns the last chunk, which carries finish reason,
// usage and timings. CANCELLED once `canceller` says so.
[[nodiscard]] absl::StatusOr<v1::GenerateChunk> Generate(const Connection& infer, const v1::GenerateRequest& request,
                                                         Canceller& canceller,
                                                         const std::function<void(const v1::GenerateChunk&)>& chunk);

// Loads a model where it is not loaded yet; loading may take minutes.
[[nodiscard]] absl::StatusOr<v1::LoadedModel> EnsureLoaded(const Connection& infer, const std::string& name,
                                                           Canceller& canceller);

}  // namespace gwq::client
