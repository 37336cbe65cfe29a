#include "client/cli/commands/push.h"

#include <fmt/format.h>

#include "client/cli/commands/watch.h"
#include "core/base/status.h"

namespace gwq::cli {

absl::StatusOr<v1::Job> FollowImport(Session& session, const client::UploadSummary& upload) {
  v1::JobMetadata metadata;
  if (!upload.operation.metadata().UnpackTo(&metadata)) {
    return absl::InternalError("the import's operation carries no job");
  }
  return FollowJob(session, metadata.job().name());
}

absl::Status PushDataset(Session& session, const client::LocalModel& files, const std::string& id,
                         const std::string& path) {
  client::UploadOptions options;
  options.dataset_id = id;
  GWQ_ASSIGN_OR_RETURN(const client::UploadSummary summary,
                       client::PushModel(session.jobs(), files, options, session.terminal()));
  GWQ_ASSIGN_OR_RETURN(const v1::Job job, FollowImport(session, summary));
  if (job.state() == v1::JOB_STATE_SUCCEEDED) return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("{} was refused: {}", path, job.error().message()));
}

}  // namespace gwq::cli
