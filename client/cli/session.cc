#include "client/cli/session.h"

#include "client/cli/output.h"

namespace gwq::cli {
namespace {

client::Endpoint EndpointOf(const Settings& settings, const std::string& address, const std::string& service) {
  return {.address = address,
          .token = settings.token,
          .timeout_millis = static_cast<int64_t>(settings.timeout_seconds * 1000),
          .service = service};
}

}  // namespace

Session::Session(const Settings& settings)
    : json_(settings.json),
      jobs_(EndpointOf(settings, settings.jobs, "gwq-jobs"), &interrupts_.canceller()),
      infer_(EndpointOf(settings, settings.infer, "gwq-infer"), &interrupts_.canceller()),
      terminal_(settings.quiet || settings.json) {}

void Session::FlushOutput() {
  if (!cli::FlushOutput()) canceller().Cancel();
}

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitOk;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnimplemented:
      return kExitInvalid;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return kExitUnavailable;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailure;
  }
}

}  // namespace gwq::cli
