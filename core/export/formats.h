// The formats of exports and what each needs of a run. Private to core/export; a new format is a file and a row of the
// table in formats.cc.
#pragma once

#include "absl/status/statusor.h"
#include "core/artifact/stored_model.h"
#include "core/base/progress.h"
#include "core/export/loss.h"
#include "core/spec/export_options.h"
#include "core/storage/blob_store.h"

namespace gwq {

// One export. The references outlive it.
struct ExportRun {
  BlobStore& store;
  const StoredModel& source;  // the artifact
  const ExportOptions& options;
  Progress& progress;
  ExportReport report = {};  // the writer adds each matrix

  // Before each tensor: the errors of Progress::Check, and phase "export" in tensors.
  [[nodiscard]] absl::Status Step(int64_t tensor);
  // A matrix of the artifact; its name stands before an error.
  [[nodiscard]] absl::StatusOr<PackedTensor> OpenMatrix(const std::string& name) const;
  // The file beside the weights that tells what was lost.
  [[nodiscard]] std::string ReportFile() const;
};

inline constexpr std::string_view kExportReportPath = "gwq-export.json";

// Writes tensors and files and returns the stored manifest of the model that they make. It reads the artifact one
// matrix at a time.
using ExportWriter = absl::StatusOr<Digest> (*)(ExportRun& run);
[[nodiscard]] ExportWriter WriterOf(ExportFormat format);

[[nodiscard]] absl::StatusOr<Digest> WriteHalfModel(ExportRun& run);
[[nodiscard]] absl::StatusOr<Digest> WriteCompressedTensors(ExportRun& run);
[[nodiscard]] absl::StatusOr<Digest> WriteGptq(ExportRun& run);
[[nodiscard]] absl::StatusOr<Digest> WriteGguf(ExportRun& run);

}  // namespace gwq
