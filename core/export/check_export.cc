#include "core/export/check_export.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "core/base/status.h"

namespace gwq {
namespace {

absl::Status CheckOutlierChoice(const std::vector<const ManifestTensor*>& tensors, const ExportOptions& options) {
  int64_t matrices = 0;
  int64_t weights = 0;
  for (const ManifestTensor* const tensor : tensors) {
    if (!tensor->packed || tensor->packed->outliers == 0) continue;
    ++matrices;
    weights += tensor->packed->outliers;
  }
  if (matrices == 0 || options.outliers) return absl::OkStatus();
  return InvalidField(
      "outliers", fmt::format("missing: {} matrices keep {} weights in FP16 beside their codes, for which {} has no "
                              "place; use wider (those matrices in 8 bits), fold (in FP16) or drop (such weights "
                              "become the nearest that the codes express)",
                              matrices, weights, EnumText(options.format)));
}

}  // namespace

absl::Status CheckExport(const Manifest& artifact, const ExportOptions& options) {
  if (options.format == ExportFormat::kHalf) return absl::OkStatus();
  std::vector<const ManifestTensor*> tensors;
  for (const ManifestShard& shard : artifact.shards) {
    for (const ManifestTensor& tensor : shard.tensors) tensors.push_back(&tensor);
  }
  if (std::ranges::any_of(tensors, [](const ManifestTensor* tensor) { return tensor->part == "vision"; })) {
    return InvalidField("format", fmt::format("{} is written for text models, and {} has a vision tower; use hf-fp16",
                                              EnumText(options.format), artifact.architecture));
  }
  // Every weight is in FP16 there.
  if (options.gguf_type == GgmlType::kF16) return absl::OkStatus();
  return CheckOutlierChoice(tensors, options);
}

}  // namespace gwq
