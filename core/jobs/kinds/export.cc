// Exports: an artifact becomes files that other programs load.
#include <algorithm>

#include "core/base/status.h"
#include "core/export/check_export.h"
#include "core/io/json.h"
#include "core/jobs/kinds/memory.h"
#include "core/jobs/kinds/spec_json.h"
#include "core/jobs/kinds/specs.h"
#include "core/manifest/limits.h"
#include "core/manifest/manifest.h"

namespace gwq {
namespace {

// What a matrix becomes is put together in memory by the formats whose layout goes down its columns: at most a byte a
// weight, and three and the packed ones for a group of eight.
uint64_t MadeBytes(ExportFormat format, const PackedShape& packed) {
  if (format == ExportFormat::kHalf || format == ExportFormat::kGguf) return 0;
  return 2 * static_cast<uint64_t>(packed.rows * packed.cols);
}

// A packed matrix is mapped as a whole when it is opened. What is dense goes through in pieces.
uint64_t LargestMatrix(ExportFormat format, const Manifest& artifact) {
  uint64_t largest = 0;
  for (const ManifestShard& shard : artifact.shards) {
    for (const ManifestTensor& tensor : shard.tensors) {
      if (tensor.packed) largest = std::max(largest, tensor.size + MadeBytes(format, *tensor.packed));
    }
  }
  return largest;
}

// A GGUF file holds the tokenizer: its trees, tokens and the tokenizers that check them took 43 times tokenizer.json
// for SmolLM2.
uint64_t TokenizerMemory(ExportFormat format, const Manifest& artifact) {
  const ManifestFile* const file = artifact.FindFile("tokenizer.json");
  return format == ExportFormat::kGguf && file != nullptr ? 56 * file->size : 0;
}

}  // namespace

std::string ExportJob::Json() const {
  nlohmann::json spec = {
      {"artifact", artifact}, {"model_id", model_id}, {"format", EnumText(options.format)}, {"source", source.Hex()}};
  if (options.outliers) spec["outliers"] = OutliersText(options);
  if (options.gguf_type) spec["gguf_type"] = GgufTypeText(options);
  if (options.widths) spec["widths"] = WidthsText(options);
  return CanonicalJson(spec);
}

absl::StatusOr<ExportJob> ExportJob::Parse(std::string_view json) {
  GWQ_ASSIGN_OR_RETURN(const nlohmann::json spec, ParseSpecObject(json));
  ExportJob job;
  GWQ_ASSIGN_OR_RETURN(job.artifact, SpecText(spec, "artifact"));
  GWQ_ASSIGN_OR_RETURN(job.model_id, SpecText(spec, "model_id"));
  ExportNames names;
  GWQ_ASSIGN_OR_RETURN(names.format, SpecText(spec, "format"));
  if (spec.contains("outliers")) {
    GWQ_ASSIGN_OR_RETURN(names.outliers, SpecText(spec, "outliers"));
  }
  if (spec.contains("gguf_type")) {
    GWQ_ASSIGN_OR_RETURN(names.gguf_type, SpecText(spec, "gguf_type"));
  }
  if (spec.contains("widths")) {
    GWQ_ASSIGN_OR_RETURN(names.widths, SpecText(spec, "widths"));
  }
  const absl::StatusOr<ExportOptions> options = ParseExportOptions(names);
  if (!options.ok()) return PrefixField(options.status(), "spec");
  job.options = *options;
  GWQ_ASSIGN_OR_RETURN(job.source, SpecDigest(spec, "source"));
  return job;
}

JobProduct ExportJob::Product() const { return {"model", model_id}; }

JobInputs ExportJob::Inputs() const { return {.manifests = {source}}; }

absl::StatusOr<Plan> ExportJob::MakePlan(BlobStore& store, PassCache& /*passes*/) const {
  GWQ_ASSIGN_OR_RETURN(const std::string json, ReadBlob(store, source, kMaxManifestBytes));
  GWQ_ASSIGN_OR_RETURN(const Manifest manifest, ParseManifest(json));
  GWQ_RETURN_IF_ERROR(PrefixField(CheckExport(manifest, options), "export_artifact"));
  return MemoryAlone(kStreamingBytes + ManifestMemory(json.size()) + LargestMatrix(options.format, manifest) +
                     TokenizerMemory(options.format, manifest));
}

ExportJob ExportJob::Example() {
  return {.artifact = "artifact",
          .model_id = "model",
          .options = {ExportFormat::kGguf, OutlierChoice::kFold, GgmlType::kQ4_K},
          .source = ExampleManifest(0)};
}

}  // namespace gwq
