#include "client/cli/commands/pull.h"

#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/library/download.h"
#include "core/base/status.h"

namespace gwq::cli {

absl::StatusOr<ExitCode> PullTo(Session& session, const std::string& name, const std::string& folder) {
  GWQ_ASSIGN_OR_RETURN(const client::PullSummary summary,
                       client::Pull(session.jobs(), name, folder, session.terminal()));
  if (session.json()) {
    Print("{{\"folder\":{},\"files\":{},\"total_bytes\":{},\"received_bytes\":{},\"digest\":\"{}\"}}\n",
          JsonString(folder), summary.files, summary.total_bytes, summary.received_bytes, summary.digest.Hex());
  } else {
    Print("{}  {} files, {}\n", folder, summary.files, BytesText(summary.total_bytes));
  }
  return kExitOk;
}

}  // namespace gwq::cli
