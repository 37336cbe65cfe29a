// Uploads of the commands: sent, then followed to the end of their import.
#pragma once

#include <string>

#include "client/cli/session.h"
#include "client/library/upload.h"
#include "gwq/v1/jobs.pb.h"

namespace gwq::cli {

// Shows the import that an upload began until it ends.
[[nodiscard]] absl::StatusOr<v1::Job> FollowImport(Session& session, const client::UploadSummary& upload);

// Uploads `files` as datasets/ID. INVALID_ARGUMENT with what the import finds at fault, naming `path`.
[[nodiscard]] absl::Status PushDataset(Session& session, const client::LocalModel& files, const std::string& id,
                                       const std::string& path);

}  // namespace gwq::cli
