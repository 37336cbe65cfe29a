// Artifacts as files that other programs load.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/base/sha256.h"
#include "core/export/loss.h"
#include "core/spec/export_options.h"
#include "core/storage/blob_store.h"

namespace gwq {

struct ExportResult {
  Digest model;  // manifest of the files
  uint64_t stored_bytes = 0;
  std::string architecture;  // of the artifact
  ExportReport report;
};
// Makes a model's files out of the artifact whose manifest is the blob `artifact`; docs/exports.md describes each
// format and what it loses.
// - hf-fp16: a dequantized Hugging Face directory, imported: this service serves it. Tensors in FP16 stay the blobs
//   that they are. A weight that FP16 cannot hold becomes the largest number of its sign that it can, and a line of the
//   log counts them by tensor; NaN stays NaN.
// - compressed-tensors, gptq: a Hugging Face directory with a quantization_config, for other programs
// - gguf: one file model.gguf, for llama.cpp
// The last three are manifests of kind "model" without an architecture, as uploads are, so this service does not load
// them; gwq-export.json in them is the report. Every format logs what was lost.
// Reports phase "export" in tensors. Memory: the manifests, a few MiB, and one packed matrix with what becomes of it,
// at most two bytes a weight. The errors of CheckExport (core/export/check_export.h), of StoredModel and of the
// store; CANCELLED through `progress`, between tensors.
[[nodiscard]] absl::StatusOr<ExportResult> ExportArtifact(BlobStore& store, const Digest& artifact,
                                                          const ExportOptions& options, Progress& progress);

}  // namespace gwq
