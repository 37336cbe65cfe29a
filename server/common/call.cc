#include "server/common/call.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>

#include "core/base/status.h"
#include "server/common/status_to_grpc.h"

namespace gwq {
namespace {

const std::vector<double>& SecondsBounds() {
  static const std::vector<double> bounds = {0.001, 0.004, 0.016, 0.063, 0.25, 1, 4, 16, 64, 256};
  return bounds;
}

prometheus::Gauge& InFlight(Metrics& metrics, std::string_view method) {
  return metrics.Gauge("gwq_rpc_in_flight", "Calls that have begun and not ended.", {{"method", std::string(method)}});
}

// The faults of a request may quote it, so only faults of the service are logged with their text.
bool IsOurFault(absl::StatusCode code) {
  return code == absl::StatusCode::kInternal || code == absl::StatusCode::kUnknown ||
         code == absl::StatusCode::kDataLoss || code == absl::StatusCode::kUnavailable;
}

}  // namespace

Call::Call(const CallEnvironment& environment, std::string_view method, grpc::CallbackServerContext* context)
    : environment_(environment), method_(method), context_(context), started_(std::chrono::steady_clock::now()) {
  InFlight(environment_.metrics, method_).Increment();
}

void Call::Begin() {
  self_ = shared_from_this();
  auto principal = environment_.authenticator.Principal(authorization());
  if (!principal.ok()) {
    End(principal.status());
    return;
  }
  principal_ = *std::move(principal);
  Post([this] { Start(); });
}

std::string_view Call::authorization() const {
  const auto& metadata = context_->client_metadata();
  const auto header = metadata.find("authorization");
  if (header == metadata.end()) return {};
  return {header->second.data(), header->second.size()};
}

void Call::Post(std::function<void()> task) { PostOn(environment_.executor, std::move(task)); }

void Call::PostOn(Executor& executor, std::function<void()> task) {
  Hold();
  const absl::Status posted = executor.Post([self = shared_from_this(), task = std::move(task)] {
    if (!self->ended()) task();
    self->Release();
  });
  if (posted.ok()) return;
  End(WithRetryDelay(absl::ResourceExhaustedError(fmt::format("the service is busy: {}", MessageOf(posted))), 500));
  Release();
}

void Call::End(absl::Status status) {
  Hold();
  {
    MutexLock lock(mutex_);
    if (!ended_) {
      ended_ = true;
      status_ = std::move(status);
    }
  }
  Release();
}

bool Call::ended() const {
  MutexLock lock(mutex_);
  return ended_;
}

void Call::Hold() {
  MutexLock lock(mutex_);
  ++holds_;
}

void Call::Release() {
  absl::Status status;
  {
    MutexLock lock(mutex_);
    if (--holds_ > 0 || !ended_ || finished_) return;
    finished_ = true;
    status = status_;
  }
  FinishReactor(ToGrpc(status));
}

void Call::HandleCancel() {
  cancelled_.store(true);
  Cancelled();
}

void Call::HandleDone() {
  absl::Status status;
  {
    MutexLock lock(mutex_);
    status = status_;
  }
  const std::string code = absl::StatusCodeToString(status.code());
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
  Metrics& metrics = environment_.metrics;
  InFlight(metrics, method_).Decrement();
  metrics
      .Counter("gwq_rpc_total", "Calls that ended, by method and status code.",
               {{"method", std::string(method_)}, {"code", code}})
      .Increment();
  metrics
      .Histogram("gwq_rpc_seconds", "Time from a call's first message to its end.", SecondsBounds(),
                 {{"method", std::string(method_)}})
      .Observe(seconds);
  const bool ours = IsOurFault(status.code());
  environment_.log.Write(ours ? LogLevel::kError : LogLevel::kInfo, "rpc",
                         {{"method", method_},
                          {"principal", principal_},
                          {"code", code},
                          {"ms", seconds * 1000},
                          {"error", ours ? MessageOf(status) : std::string_view()}});
  // The last reference may be this one.
  const std::shared_ptr<Call> last = std::move(self_);
}

}  // namespace gwq
