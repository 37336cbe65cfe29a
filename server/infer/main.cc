// gwq-infer: serves models and artifacts of a gwq-jobs service.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <thread>

#include "core/backend/cpu/cpu_backend.h"
#include "core/base/status.h"
#include "server/common/service_host.h"
#include "server/common/signals.h"
#include "server/infer/inference_service.h"
#include "server/infer/models/jobs_source.h"
#include "server/infer/models/local_source.h"
#include "server/infer/settings.h"

namespace gwq {
namespace {

constexpr int kLookupThreads = 8;  // each waits 2 s at most for a gwq-jobs that is silent
constexpr int kLoadThreads = 2;    // an unload that waits for its requests must not hold up a load
constexpr size_t kMaxQueuedLoads = 64;

std::string HolderName() {
  std::random_device random;
  return fmt::format("gwq-infer-{}-{:08x}{:08x}", getpid(), random(), random());
}

std::unique_ptr<ModelSource> MakeSource(const InferSettings& settings) {
  if (settings.jobs.empty()) return MakeLocalSource(settings.blobs);
  return MakeJobsSource({.address = settings.jobs,
                         .token = settings.jobs_token,
                         .blob_root = settings.blobs,
                         .hold_millis = settings.hold_seconds * 1000},
                        HolderName());
}

absl::StatusOr<IsaLevel> Isa(const InferSettings& settings) {
  if (settings.isa == "auto") return BestIsaLevel();
  return ParseIsaLevel(settings.isa);
}

int ComputeThreads(const InferSettings& settings) {
  if (settings.compute_threads > 0) return static_cast<int>(settings.compute_threads);
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

LoadOptions MakeLoadOptions(const InferSettings& settings, IsaLevel isa) {
  LoadOptions options;
  options.cache_tokens = settings.cache_tokens;
  options.cache_bytes = settings.cache_bytes;
  options.kernels = std::string(IsaLevelName(isa));
  options.engine.max_prompt_tokens = settings.max_prompt_tokens;
  options.engine.max_queued = static_cast<int>(settings.max_queued);
  options.engine.scheduler.max_running = static_cast<int>(settings.max_running);
  options.engine.scheduler.step_tokens = settings.step_tokens;
  return options;
}

ImageLimits MakeImageLimits(const InferSettings& settings) {
  ImageLimits limits;
  limits.max_bytes = static_cast<size_t>(settings.max_image_mib) << 20;
  limits.max_pixels = settings.max_image_megapixels * 1'000'000;
  limits.max_images = static_cast<int>(settings.max_images);
  return limits;
}

absl::Status LoadAtStart(const InferSettings& settings, const Authenticator& authenticator, ModelTable& models,
                         const Log& log) {
  const std::vector<std::string> names = SplitNames(settings.load);
  if (names.empty()) return absl::OkStatus();
  GWQ_ASSIGN_OR_RETURN(const Caller owner, OwnerOfLoad(settings, authenticator));
  for (const std::string& name : names) {
    const auto model = models.Load(owner, name, 0, [] { return absl::OkStatus(); });
    if (!model.ok()) return Annotate(model.status(), fmt::format("load {}", name));
    log.Write(LogLevel::kInfo, "model loaded",
              {{"principal", owner.principal}, {"model", (*model)->name()}, {"digest", (*model)->digest()}});
  }
  return absl::OkStatus();
}

// Answers calls until a signal comes, and then ends those that run.
absl::Status AnswerCalls(const InferSettings& settings, const CallEnvironment& call, ModelTable& models,
                         const std::string& metrics_address, IsaLevel isa, const TerminationSignals& signals) {
  const size_t max_calls = static_cast<size_t>(settings.service.max_queued_calls);
  Executor loads(kLoadThreads, kMaxQueuedLoads);
  Executor lookups(kLookupThreads, max_calls);
  Executor images(static_cast<int>(settings.image_threads), static_cast<size_t>(settings.max_queued_images));
  ImageStore image_store(static_cast<size_t>(settings.image_store_mib) << 20);
  ImageMemory image_memory(static_cast<size_t>(settings.image_memory_mib) << 20);
  InferenceService service(InferEnvironment{.call = call,
                                            .models = models,
                                            .loads = loads,
                                            .lookups = lookups,
                                            .images = images,
                                            .image_store = image_store,
                                            .image_memory = image_memory,
                                            .image_limits = MakeImageLimits(settings),
                                            .clock = SystemClock(),
                                            .unload_millis = settings.unload_seconds * 1000});
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<ServiceHost> host, ServiceHost::Start(settings.service, {&service}));
  call.log.Write(LogLevel::kInfo, "serving",
                 {{"address", host->address()},
                  {"metrics", metrics_address},
                  {"kernels", IsaLevelName(isa)},
                  {"compute_threads", ComputeThreads(settings)}});
  const int signal = signals.Wait();
  call.log.Write(LogLevel::kInfo, "draining", {{"signal", signal}});
  host->Drain();
  return absl::OkStatus();
}

absl::Status Serve(const InferSettings& settings, const TerminationSignals& signals) {
  GWQ_RETURN_IF_ERROR(CheckInferSettings(settings));
  GWQ_ASSIGN_OR_RETURN(const LogLevel level, ParseLogLevel(settings.service.log_level));
  GWQ_ASSIGN_OR_RETURN(const Authenticator authenticator, LoadAuthenticator(settings.service));
  GWQ_ASSIGN_OR_RETURN(const IsaLevel isa, Isa(settings));
  const Log log("gwq-infer", level);
  Metrics metrics;
  std::string metrics_address;
  if (!settings.service.metrics_listen.empty()) {
    GWQ_ASSIGN_OR_RETURN(metrics_address, metrics.Expose(settings.service.metrics_listen));
  }
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Backend> backend,
                       CreateCpuBackend({.threads = ComputeThreads(settings), .isa = isa}));
  const std::unique_ptr<ModelSource> source = MakeSource(settings);
  Holds holds(*source, log);
  ModelLoader loader(*backend, metrics, SystemClock(), MakeLoadOptions(settings, isa));
  ModelTable models(*source, holds, loader, static_cast<uint64_t>(settings.max_loaded_mib) << 20);
  GWQ_RETURN_IF_ERROR(LoadAtStart(settings, authenticator, models, log));

  Executor executor(static_cast<int>(settings.service.threads), static_cast<size_t>(settings.service.max_queued_calls));
  return AnswerCalls(settings, {executor, authenticator, metrics, log}, models, metrics_address, isa, signals);
}

int Main(int argc, const char* const* argv) {
  const TerminationSignals signals;
  SilenceGrpc();
  InferSettings settings;
  Options options(
      "gwq-infer",
      "Loads models and artifacts of a gwq-jobs service, generates text and answers questions about images.");
  AddInferSettings(options, settings);
  if (!options.Parse(argc, argv)) return options.exit_code();
  const absl::Status status = Serve(settings, signals);
  if (status.ok()) return 0;
  fmt::print(stderr, "gwq-infer: {}\n", MessageOf(status));
  return 1;
}

}  // namespace
}  // namespace gwq

int main(int argc, char** argv) { return gwq::Main(argc, argv); }
