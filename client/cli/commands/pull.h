// Downloads of the commands.
#pragma once

#include <string>

#include "client/cli/session.h"

namespace gwq::cli {

// Downloads the files of a manifest, as client::Pull does, and prints what came.
[[nodiscard]] absl::StatusOr<ExitCode> PullTo(Session& session, const std::string& name, const std::string& folder);

}  // namespace gwq::cli
