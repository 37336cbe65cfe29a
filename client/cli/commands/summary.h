// What a quantization came to, in a few lines.
#pragma once

#include <optional>
#include <string>

#include "client/cli/session.h"
#include "gwq/v1/artifacts.pb.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq::cli {

// Size, bits, perplexity and divergence before and after, time and memory, a line each; without what was not measured.
[[nodiscard]] std::string SummaryText(const v1::ArtifactSummary& summary);

// The artifact that a job made, if the job was a quantization that succeeded and its artifact is still there.
[[nodiscard]] absl::StatusOr<std::optional<v1::Artifact>> ArtifactOf(Session& session, const v1::Job& job);

}  // namespace gwq::cli
