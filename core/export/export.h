// Artifacts as files that other programs load.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/storage/blob_store.h"

namespace gwq {

struct ExportResult {
  Digest model;  // manifest of a dequantized FP16 Hugging Face directory
  uint64_t stored_bytes = 0;
};
// `format` is "hf-fp16".
[[nodiscard]] absl::StatusOr<ExportResult> ExportArtifact(BlobStore& store, const Digest& artifact,
                                                          std::string_view format, Progress& progress);

}  // namespace gwq
