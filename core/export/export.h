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
// Makes a model of FP16 tensors out of the artifact whose manifest is the blob `artifact`. `format` is "hf-fp16".
// Tensors in FP16 stay the blobs that they are. A weight that FP16 cannot hold becomes the largest number of its sign
// that it can, and a line of the log counts them by tensor; NaN stays NaN. Reports phase "export" in tensors. Memory:
// the manifests, a few MiB, and the stored bytes of one packed matrix, which opening it reads as a whole.
// INVALID_ARGUMENT at "format"; CANCELLED through `progress`, between tensors; the errors of StoredModel and of the
// store.
[[nodiscard]] absl::StatusOr<ExportResult> ExportArtifact(BlobStore& store, const Digest& artifact,
                                                          std::string_view format, Progress& progress);

}  // namespace gwq
