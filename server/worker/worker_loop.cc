#include "server/worker/worker_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/jobs/kinds/job_kinds.h"
#include "core/jobs/spec_texts.h"
#include "server/worker/lease_checkpoints.h"
#include "server/worker/lease_passes.h"
#include "server/worker/lease_session.h"

namespace gwq {
namespace {

constexpr int64_t kWaitMillis = 20'000;

v1::CommitRequest CommitOf(const v1::AcquireResponse& lease, const JobOutput& output) {
  v1::CommitRequest request;
  request.set_job(lease.job());
  request.set_fencing_token(lease.fencing_token());
  request.set_kind(output.kind);
  request.set_manifest_sha256(output.manifest.Hex());
  request.set_stored_bytes(output.stored_bytes);
  request.set_architecture(ToValidUtf8(output.architecture));
  if (output.source.has_value()) request.set_source_sha256(output.source->Hex());
  request.set_report_json(output.report_json);
  request.set_report_markdown(ToValidUtf8(output.report_markdown));
  request.set_passes_run(output.passes.run);
  request.set_passes_reused(output.passes.reused);
  return request;
}

// Of an error's text and of its field. A failure that gwq-jobs does not take for its size could not be told at all.
constexpr size_t kMaxErrorBytes = 16 << 10;

v1::FailRequest FailOf(const v1::AcquireResponse& lease, const absl::Status& status) {
  v1::FailRequest request;
  request.set_job(lease.job());
  request.set_fencing_token(lease.fencing_token());
  request.set_code(static_cast<int>(status.code()));
  // It may quote, or cut, what a model's files hold.
  request.set_message(ToValidUtf8(MessageOf(status).substr(0, kMaxErrorBytes)));
  if (const auto violations = FieldViolations(status); !violations.empty()) {
    request.set_field(ToValidUtf8(std::string_view(violations.front().field).substr(0, kMaxErrorBytes)));
  }
  request.set_retryable(IsRetryable(status));
  return request;
}

// Of what was made and is not to be published.
v1::FailRequest FailOf(const v1::AcquireResponse& lease, const JobOutput& output) {
  v1::FailRequest request = FailOf(lease, output.verdict);
  request.set_report_json(output.report_json);
  request.set_report_markdown(ToValidUtf8(output.report_markdown));
  return request;
}

}  // namespace

WorkerLoop::WorkerLoop(WorkerIdentity identity, JobsClient& client, BlobStore& blobs,
                       const std::vector<JobRunner>& runners, const gwq::Log& log,
                       std::function<void(const std::string& why)> lost)
    : identity_(std::move(identity)),
      client_(client),
      blobs_(blobs),
      runners_(runners),
      log_(log),
      lost_(std::move(lost)) {}

absl::StatusOr<bool> WorkerLoop::RunOne() {
  v1::AcquireRequest request;
  request.set_worker(identity_.worker);
  request.set_device(identity_.device);
  request.set_memory_bytes(identity_.memory_bytes);
  request.set_wait_millis(kWaitMillis);
  GWQ_ASSIGN_OR_RETURN(const v1::AcquireResponse lease, client_.Acquire(request));
  if (lease.job().empty()) return false;
  RunJob(lease);
  return true;
}

void WorkerLoop::RunJob(const v1::AcquireResponse& lease) {
  log_.Write(LogLevel::kInfo, "job_started",
             {{"job", lease.job()}, {"kind", lease.kind()}, {"attempt", lease.attempt()}});
  LeaseSession session(client_, lease, lost_);
  const absl::StatusOr<JobOutput> output = Run(lease, session);
  session.Flush();
  session.Reporting();
  const absl::Status reported = Report(lease, output);
  log_.Write(reported.ok() ? LogLevel::kInfo : LogLevel::kError, "job_ended",
             {{"job", lease.job()},
              {"code", absl::StatusCodeToString((output.ok() ? output->verdict : output.status()).code())},
              {"told", absl::StatusCodeToString(reported.code())}});
}

absl::StatusOr<JobOutput> WorkerLoop::Run(const v1::AcquireResponse& lease, Progress& progress) {
  const auto runner = std::ranges::find(runners_, lease.kind(), &JobRunner::kind);
  if (runner == runners_.end()) {
    return absl::UnimplementedError(fmt::format("this worker does not know jobs of kind '{}'", lease.kind()));
  }
  std::optional<Digest> texts;
  if (!lease.texts_sha256().empty()) {
    GWQ_ASSIGN_OR_RETURN(texts, Digest::Parse(lease.texts_sha256()));
  }
  GWQ_ASSIGN_OR_RETURN(const std::string spec, JoinTexts(blobs_, lease.spec_json(), texts));
  LeaseCheckpoints checkpoints(blobs_, client_, lease);
  LeasePasses passes(blobs_, client_, lease);
  const auto publish = [&](const std::string& id, const JobOutput& part) {
    v1::PublishPartRequest request;
    request.set_id(id);
    *request.mutable_made() = CommitOf(lease, part);
    return UntilAnswered([&] { return client_.PublishPart(request); });
  };
  return runner->run({.store = blobs_,
                      .spec_json = spec,
                      .progress = progress,
                      .checkpoints = checkpoints,
                      .passes = passes,
                      .publish = publish});
}

absl::Status WorkerLoop::Report(const v1::AcquireResponse& lease, const absl::StatusOr<JobOutput>& output) {
  // The heartbeats go on meanwhile, so the lease lives; where the service is silent for all of it, they end the
  // process.
  const absl::Status reported = UntilAnswered([&] {
    if (!output.ok()) return client_.Fail(FailOf(lease, output.status()));
    return output->verdict.ok() ? client_.Commit(CommitOf(lease, *output)) : client_.Fail(FailOf(lease, *output));
  });
  if (reported.ok() || !output.ok() || absl::IsAborted(reported)) return reported;
  if (!output->verdict.ok()) {
    // A report that is too large is not worth the job's error.
    return client_.Fail(FailOf(lease, Annotate(output->verdict, "its report was refused")));
  }
  // The service refuses the result: the job must not stay with this worker.
  return client_.Fail(FailOf(lease, Annotate(reported, "the result was refused")));
}

}  // namespace gwq
