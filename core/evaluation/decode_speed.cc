#include "core/evaluation/decode_speed.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "core/artifact/stored_model.h"
#include "core/backend/registry.h"
#include "core/base/clock.h"
#include "core/base/status.h"
#include "core/engine/run_requests.h"
#include "core/models/model.h"

namespace gwq {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Keeps when each token came.
class TimesSink final : public GenerationSink {
 public:
  void OnChunk(GeneratedChunk chunk) override { times_.insert(times_.end(), chunk.tokens.size(), SteadyClock::now()); }
  void OnDone(const absl::StatusOr<GenerationResult>& result) override { status_ = result.status(); }
  int64_t unread_tokens() const override { return 0; }

  [[nodiscard]] const absl::Status& status() const { return status_; }
  [[nodiscard]] std::optional<double> TokensPerSecond() const {
    std::vector<double> seconds;
    for (size_t i = 1; i < times_.size(); ++i) {
      seconds.push_back(std::chrono::duration<double>(times_[i] - times_[i - 1]).count());
    }
    if (seconds.empty()) return std::nullopt;
    const auto middle = seconds.begin() + std::ssize(seconds) / 2;
    std::ranges::nth_element(seconds, middle);
    return 1 / std::max(*middle, 1e-9);
  }

 private:
  std::vector<SteadyClock::time_point> times_;
  absl::Status status_ = absl::UnknownError("not done");
};

// Any tokens do: the time does not depend on them.
GenerationRequest AnyRequest(const RequestLimits& limits) {
  GenerationRequest request;
  const int64_t tokens = std::min(kSpeedPromptTokens, limits.max_prompt_tokens);
  for (int64_t i = 0; i < tokens; ++i) request.prompt.push_back(static_cast<int32_t>(i % limits.vocab_size));
  request.max_tokens = kSpeedTokens;
  request.deadline_millis = SystemClock().MonotonicMillis() + kSpeedMillis;
  return request;
}

}  // namespace

absl::StatusOr<std::optional<double>> MeasureDecodeSpeed(BlobStore& store, const Digest& model, int threads,
                                                         Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> stored, StoredModel::Open(store, model));
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend, CreateBackend(kHostDevice, {.threads = threads}));
  const std::unique_ptr<WeightLoader> loader = MakeWeightLoader(*stored, *backend);
  GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const LoadedModel> loaded,
                       LoadedModel::Load(stored->model(), *loader, [&](int done, int total) {
                         progress.Step("speed", done, total);
                         return progress.Check();
                       }));
  FifoLock turns;
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<StepModel> step_model,
                       MakeStepModel(std::move(loaded), *backend, turns, kSpeedPromptTokens + kSpeedTokens));
  const auto sink = std::make_shared<TimesSink>();
  std::vector<RequestToRun> requests;
  requests.push_back({AnyRequest(LimitsOf(*step_model)), sink});
  GWQ_RETURN_IF_ERROR(
      RunRequests(*step_model, SchedulerOptions{}, std::move(requests), [&] { return progress.Check(); }));
  // A slow model is measured by the tokens that it made.
  if (!sink->status().ok() && !absl::IsDeadlineExceeded(sink->status())) return sink->status();
  return sink->TokensPerSecond();
}

}  // namespace gwq
