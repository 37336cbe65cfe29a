// How fast a stored model answers on the host's CPU.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

namespace gwq {

inline constexpr int64_t kSpeedPromptTokens = 16;
inline constexpr int64_t kSpeedTokens = 64;  // generated at most; fewer after kSpeedMillis
inline constexpr int64_t kSpeedMillis = 20'000;

// Tokens a second of one request that decodes alone with `threads` threads, by the median time between two tokens; of a
// vision-language model without an image. None if the second token has not come after kSpeedMillis. It depends on what
// else the machine does. Loads the whole model: memory as DecodeSpeedMemory (memory.h). Phase "speed". The errors of
// the model's loading, RESOURCE_EXHAUSTED if there is no memory for its cache, and those of `progress`.
[[nodiscard]] absl::StatusOr<std::optional<double>> MeasureDecodeSpeed(BlobStore& store, const Digest& model,
                                                                       int threads, Progress& progress);

}  // namespace gwq
