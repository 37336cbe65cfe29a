#include "server/infer/settings.h"

#include <fmt/format.h>

#include <sstream>
#include <string_view>

#include "core/backend/cpu/kernels/cpu_features.h"
#include "core/base/address.h"
#include "core/base/bearer_token.h"
#include "core/base/status.h"

namespace gwq {
namespace {

void AddSourceSettings(Options& options, InferSettings& settings) {
  options.Add("jobs", settings.jobs, "HOST:PORT of gwq-jobs, which resolves the names of models and artifacts");
  options.Add("jobs-token", settings.jobs_token,
              "bearer token for gwq-jobs. With --tokens, calls use the caller's token, and this one is for the models "
              "of --load");
  options.Add("blobs", settings.blobs, "folder of the blob store (default: the folder that gwq-jobs names)");
  options.Add("load", settings.load,
              "models to load before serving, separated by commas. With --tokens, they belong to the principal of "
              "--jobs-token");
}

void AddEngineSettings(Options& options, InferSettings& settings) {
  options.Add("isa", settings.isa,
              "instruction set of the kernels: auto, avx512, avx2 or scalar; answers do not depend on it");
  options.Add("compute-threads", settings.compute_threads, 0, 1024,
              "compute threads, shared by all models; 0: one per processor");
  options.Add("cache-tokens", settings.cache_tokens, 16, int64_t{1} << 30,
              "tokens that each model's KV cache can hold");
  options.Add("cache-bytes", settings.cache_bytes, 0, int64_t{1} << 46,
              "size of each model's KV cache in bytes; 0: --cache-tokens decides");
  options.Add("max-loaded-mib", settings.max_loaded_mib, 0, int64_t{1} << 26,
              "memory for the weights and KV caches of all loaded models, in MiB; 0: no limit");
  options.Add("max-queued", settings.max_queued, 1, 1'000'000, "requests that may wait per model");
  options.Add("max-running", settings.max_running, 1, 4096, "requests in one batch per model");
  options.Add("step-tokens", settings.step_tokens, 1, 65536,
              "rows of one pass; smaller values make streams smoother and prompts slower");
  options.Add("max-prompt-tokens", settings.max_prompt_tokens, 0, int64_t{1} << 30,
              "longest prompt in tokens; 0: as long as the context allows");
}

void AddImageSettings(Options& options, InferSettings& settings) {
  options.Add("max-images", settings.max_images, 0, 1024, "images that one request may have");
  options.Add("max-image-mib", settings.max_image_mib, 1, 256,
              "largest image file, in MiB; --max-message-mib limits the whole request");
  options.Add("max-image-megapixels", settings.max_image_megapixels, 1, 1024,
              "largest image in millions of pixels, checked before it is decoded");
  options.Add("image-threads", settings.image_threads, 1, 256, "threads that decode and encode images");
  options.Add("max-queued-images", settings.max_queued_images, 1, 1'000'000,
              "requests whose images may wait for the image threads");
  options.Add("image-store-mib", settings.image_store_mib, 0, 65536,
              "memory for uploaded images, in MiB; the least recently used go first");
  options.Add("image-memory-mib", settings.image_memory_mib, 1, 1 << 20,
              "memory for the encoded images of all waiting and running requests, in MiB");
}

void AddHoldSettings(Options& options, InferSettings& settings) {
  options.Add("hold-seconds", settings.hold_seconds, 1, 3600,
              "seconds that gwq-jobs keeps a loaded model after this service has stopped answering");
  options.Add("unload-seconds", settings.unload_seconds, 0, 3600,
              "seconds that running requests may take to finish when their model is unloaded");
}

}  // namespace

void AddInferSettings(Options& options, InferSettings& settings) {
  settings.service.max_message_mib = 32;  // requests carry images
  AddServiceSettings(options, settings.service);
  AddSourceSettings(options, settings);
  AddEngineSettings(options, settings);
  AddImageSettings(options, settings);
  AddHoldSettings(options, settings);
}

absl::Status CheckInferSettings(const InferSettings& settings) {
  if (settings.jobs.empty() && settings.blobs.empty()) {
    return InvalidField("jobs", "is not set, and neither is blobs; give the address of gwq-jobs or a blob folder");
  }
  if (!settings.jobs.empty()) GWQ_RETURN_IF_ERROR(AsField(CheckAddress(settings.jobs), "jobs"));
  GWQ_RETURN_IF_ERROR(AsField(CheckBearerToken(settings.jobs_token), "jobs-token"));
  if (settings.isa != "auto") {
    const absl::StatusOr<IsaLevel> level = ParseIsaLevel(settings.isa);
    if (!level.ok())
      return InvalidField("isa", fmt::format("'{}' is unknown; use auto, avx512, avx2 or scalar", settings.isa));
    if (!IsSupported(*level))
      return InvalidField("isa", fmt::format("this processor does not have {}; use auto", settings.isa));
  }
  if (settings.step_tokens <= settings.max_running) {
    return InvalidField("step-tokens", fmt::format("{} leaves no room for prompts beside max-running {}; raise it",
                                                   settings.step_tokens, settings.max_running));
  }
  return absl::OkStatus();
}

absl::StatusOr<Caller> OwnerOfLoad(const InferSettings& settings, const Authenticator& authenticator) {
  if (!authenticator.checks()) return Caller();
  Caller owner{.authorization = "Bearer " + settings.jobs_token};
  absl::StatusOr<std::string> principal = authenticator.Principal(owner.authorization);
  if (!principal.ok()) {
    return InvalidField(
        "load",
        "with --tokens, the models loaded at start belong to the principal of jobs-token, and that token is "
        "not in the file; set jobs-token to the owner's token, or let callers use LoadModel");
  }
  owner.principal = *std::move(principal);
  return owner;
}

std::vector<std::string> SplitNames(const std::string& names) {
  std::vector<std::string> out;
  std::istringstream stream(names);
  for (std::string name; std::getline(stream, name, ',');) {
    std::istringstream words(name);
    if (words >> name) out.push_back(name);
  }
  return out;
}

}  // namespace gwq
