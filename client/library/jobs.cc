#include "client/library/jobs.h"

#include <chrono>

#include "core/base/status.h"
#include "gwq/v1/jobs.grpc.pb.h"

namespace gwq::client {
namespace {

constexpr std::chrono::milliseconds kReconnectPause{500};

bool MayComeBack(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable || code == absl::StatusCode::kDeadlineExceeded;
}

}  // namespace

bool IsTerminal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED || state == v1::JOB_STATE_CANCELLED;
}

absl::StatusOr<v1::Job> WatchJob(const Connection& jobs, const std::string& name, Canceller& canceller,
                                 const std::function<void(const v1::Job&)>& seen, int max_reconnects) {
  const auto stub = v1::JobService::NewStub(jobs.channel());
  v1::WatchJobRequest request;
  request.set_name(name);
  GWQ_RETURN_IF_ERROR(CheckUtf8(request));
  for (int reconnects = 0;; ++reconnects) {
    if (canceller.cancelled()) return absl::CancelledError("the watch was ended; the job goes on");
    grpc::ClientContext context;
    GWQ_RETURN_IF_ERROR(jobs.PrepareStream(context));
    const Canceller::Attachment attachment(canceller, context);
    auto reader = stub->WatchJob(&context, request);
    v1::Job job;
    while (reader->Read(&job)) {
      reconnects = 0;
      seen(job);
    }
    const absl::Status status = FromGrpc(reader->Finish(), context, jobs);
    if (status.ok() && IsTerminal(job.state())) return job;
    if (canceller.cancelled()) continue;
    if (!status.ok() && !MayComeBack(status.code())) return status;
    if (reconnects >= max_reconnects)
      return status.ok() ? absl::UnavailableError("the service ended the watch") : status;
    canceller.WaitFor(kReconnectPause);
  }
}

absl::Status ReadLogs(const Connection& jobs, const std::string& name, uint64_t first_index, bool follow,
                      Canceller& canceller, const std::function<void(const v1::JobLogLine&)>& line) {
  const auto stub = v1::JobService::NewStub(jobs.channel());
  grpc::ClientContext context;
  GWQ_RETURN_IF_ERROR(jobs.PrepareStream(context));
  const Canceller::Attachment attachment(canceller, context);
  v1::ReadJobLogsRequest request;
  request.set_name(name);
  request.set_first_index(first_index);
  request.set_follow(follow);
  GWQ_RETURN_IF_ERROR(CheckUtf8(request));
  auto reader = stub->ReadJobLogs(&context, request);
  v1::JobLogLine entry;
  while (reader->Read(&entry)) line(entry);
  return FromGrpc(reader->Finish(), context, jobs);
}

}  // namespace gwq::client
