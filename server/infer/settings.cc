#include "server/infer/settings.h"

#include <fmt/format.h>

#include <sstream>
#include <string_view>

#include "core/backend/cpu/cpu_features.h"
#include "core/base/address.h"
#include "core/base/bearer_token.h"
#include "core/base/status.h"

namespace gwq {
namespace {}  // namespace

void AddInferSettings(Options& options, InferSettings& settings) {
  settings.service.max_message_mib = 32;  // requests carry images
  AddServiceSettings(options, settings.service);
  options.Add("jobs", settings.jobs, "HOST:PORT of gwq-jobs, which resolves names of models and artifacts");
  options.Add("jobs-token", settings.jobs_token,
              "bearer token for gwq-jobs; with tokens, callers' own are used there, and this one for what load names");
  options.Add("blobs", settings.blobs, "folder of the blob store, where it is not what gwq-jobs tells");
  options.Add("load", settings.load,
              "models to load before serving, separated by commas; with tokens, for the principal of jobs-token alone");
  options.Add("isa", settings.isa, "kernels: auto, avx512, avx2 or scalar; answers do not depend on it");
  options.Add("compute-threads", settings.compute_threads, 0, 1024,
              "threads that compute, for all models; 0: one a processor");
  options.Add("cache-tokens", settings.cache_tokens, 16, int64_t{1} << 30,
              "tokens whose keys and values each model can keep");
  options.Add("cache-bytes", settings.cache_bytes, 0, int64_t{1} << 46,
              "memory of each model's cache; 0: as cache-tokens says");
  options.Add("max-loaded-mib", settings.max_loaded_mib, 0, int64_t{1} << 26,
              "memory for the weights and caches of all loaded models, in MiB; 0: no limit");
  options.Add("max-queued", settings.max_queued, 1, 1'000'000, "requests that may wait, a model");
  options.Add("max-running", settings.max_running, 1, 4096, "requests in one batch");
  options.Add("step-tokens", settings.step_tokens, 1, 65536,
              "rows of one pass; smaller means smoother streams, slower prompts");
  options.Add("max-prompt-tokens", settings.max_prompt_tokens, 0, int64_t{1} << 30,
              "longest prompt; 0: whatever the context holds");
  options.Add("max-images", settings.max_images, 0, 1024, "images in one request");
  options.Add("max-image-mib", settings.max_image_mib, 1, 256,
              "largest image file, in MiB; max-message-mib bounds what a request carries");
  options.Add("max-image-megapixels", settings.max_image_megapixels, 1, 1024,
              "largest image, checked before it is decoded");
  options.Add("image-threads", settings.image_threads, 1, 256, "threads that decode and encode images");
  options.Add("max-queued-images", settings.max_queued_images, 1, 1'000'000,
              "requests whose images may wait for those threads");
  options.Add("image-store-mib", settings.image_store_mib, 0, 65536, "memory for uploaded images, in MiB");
  options.Add("image-memory-mib", settings.image_memory_mib, 1, 1 << 20,
              "memory for what the tower made of the images of requests that wait or run, in MiB");
  options.Add("hold-seconds", settings.hold_seconds, 1, 3600,
              "how long gwq-jobs keeps a loaded model after this service vanished");
  options.Add("unload-seconds", settings.unload_seconds, 0, 3600,
              "time that running requests get when their model is unloaded");
}

absl::Status CheckInferSettings(const InferSettings& settings) {
  if (settings.jobs.empty() && settings.blobs.empty()) {
    return InvalidField("jobs", "is not set, and neither is blobs: give the address of gwq-jobs, or a blob folder");
  }
  if (!settings.jobs.empty()) GWQ_RETURN_IF_ERROR(AsField(CheckAddress(settings.jobs), "jobs"));
  GWQ_RETURN_IF_ERROR(AsField(CheckBearerToken(settings.jobs_token), "jobs-token"));
  if (settings.isa != "auto") {
    const absl::StatusOr<IsaLevel> level = ParseIsaLevel(settings.isa);
    if (!level.ok())
      return InvalidField("isa", fmt::format("'{}' is none of auto, avx512, avx2, scalar", settings.isa));
    if (!IsSupported(*level))
      return InvalidField("isa", fmt::format("this processor lacks {}; use auto", settings.isa));
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
    return InvalidField("load",
                        "with tokens, what is loaded at start belongs to the principal of jobs-token, and that is none "
                        "of the tokens; set jobs-token to the owner's, or let callers load by LoadModel");
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
