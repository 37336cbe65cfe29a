#include "core/export/export.h"

#include "core/artifact/stored_model.h"
#include "core/base/status.h"
#include "core/export/check_export.h"
#include "core/export/formats.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {

absl::StatusOr<ExportResult> ExportArtifact(BlobStore& store, const Digest& artifact, const ExportOptions& options,
                                            Progress& progress) {
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<const StoredModel> source, StoredModel::Open(store, artifact));
  GWQ_RETURN_IF_ERROR(CheckExport(source->manifest(), options));
  ExportRun run{.store = store, .source = *source, .options = options, .progress = progress};
  ExportResult result;
  GWQ_ASSIGN_OR_RETURN(result.model, WriterOf(options.format)(run));
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, result.model, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest made, ParseManifest(json));
  result.stored_bytes = made.StoredBytes();
  result.architecture = source->manifest().architecture;
  for (const std::string& line : run.report.Lines()) progress.Log(line);
  result.report = std::move(run.report);
  const auto tensors = static_cast<int64_t>(source->model()->tensors().size());
  progress.Step("export", tensors, tensors);
  return result;
}

}  // namespace gwq
