#include "server/jobs/operation_handlers.h"

#include <algorithm>

#include "core/base/status.h"
#include "server/jobs/job_proto.h"

namespace gwq {
namespace {

constexpr int64_t kMaxWaitMillis = 3600 * 1000;

}  // namespace

absl::Status GetOperationHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "operations", request().name()));
  GWQ_ASSIGN_OR_RETURN(const Job job, jobs().jobs.Get(principal(), id));
  response() = OperationOf(job);
  return absl::OkStatus();
}

absl::Status ListOperationsHandler::Run() {
  if (!request().filter().empty()) return InvalidField("filter", "filters are not supported; leave it empty");
  GWQ_ASSIGN_OR_RETURN(const int page_size, PageSize(request().page_size(), 50, 1000));
  GWQ_ASSIGN_OR_RETURN(const auto page, jobs().jobs.List(principal(), page_size, request().page_token()));
  for (const Job& job : page.jobs) *response().add_operations() = OperationOf(job);
  response().set_next_page_token(page.next_page_token);
  return absl::OkStatus();
}

absl::Status CancelOperationHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "operations", request().name()));
  return jobs().jobs.Cancel(principal(), id).status();
}

absl::Status DeleteOperationHandler::Run() {
  GWQ_ASSIGN_OR_RETURN(const std::string id, IdOf("name", "operations", request().name()));
  return jobs().jobs.Get(principal(), id).status();
}

void WaitOperationHandler::Start() {
  absl::StatusOr<std::string> id = IdOf("name", "operations", request().name());
  if (!id.ok()) return End(id.status());
  id_ = *std::move(id);
  const auto& timeout = request().timeout();
  const int64_t asked = timeout.seconds() > kMaxWaitMillis / 1000
                            ? kMaxWaitMillis
                            : timeout.seconds() * 1000 + timeout.nanos() / 1'000'000;
  WaitFor(id_, request().has_timeout() ? std::max<int64_t>(asked, 0) : kMaxWaitMillis);
}

absl::StatusOr<bool> WaitOperationHandler::Look() {
  GWQ_ASSIGN_OR_RETURN(const Job job, state_.context.jobs.Get(principal(), id_));
  response() = OperationOf(job);
  return response().done();
}

}  // namespace gwq
