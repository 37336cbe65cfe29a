// Settings of gwq-infer, in addition to those of every service.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/common/authenticator.h"
#include "server/common/options.h"
#include "server/infer/models/model_source.h"

namespace gwq {

struct InferSettings {
  ServiceSettings service;
  std::string jobs;        // HOST:PORT of gwq-jobs
  std::string jobs_token;  // bearer token there for callers without one, and for `load`
  std::string blobs;       // folder of the blob store
  std::string load;        // names, separated by commas
  std::string isa = "auto";
  int64_t compute_threads = 0;
  int64_t cache_tokens = 8192;
  int64_t cache_bytes = 0;
  int64_t max_loaded_mib = 0;
  int64_t max_queued = 256;
  int64_t max_running = 32;
  int64_t step_tokens = 256;
  int64_t max_prompt_tokens = 0;
  int64_t max_images = 16;
  int64_t max_image_mib = 16;
  int64_t max_image_megapixels = 64;
  int64_t image_threads = 2;
  int64_t max_queued_images = 64;
  int64_t image_store_mib = 256;
  int64_t image_memory_mib = 1024;
  int64_t hold_seconds = 600;
  int64_t unload_seconds = 20;
};

void AddInferSettings(Options& options, InferSettings& settings);
// INVALID_ARGUMENT naming the setting if values contradict each other.
[[nodiscard]] absl::Status CheckInferSettings(const InferSettings& settings);
// The owner of the models of `load`: the local principal without tokens, else the principal of `jobs_token`.
// INVALID_ARGUMENT if that token is unknown.
[[nodiscard]] absl::StatusOr<Caller> OwnerOfLoad(const InferSettings& settings, const Authenticator& authenticator);
// "a,b" -> {"a", "b"}; spaces and empty names are ignored.
[[nodiscard]] std::vector<std::string> SplitNames(const std::string& names);

}  // namespace gwq
