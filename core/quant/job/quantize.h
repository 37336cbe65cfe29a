// The quantization job itself: calibrate block by block, pick outliers, pack, write blobs, evaluate, report.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/manifest/manifest.h"
#include "core/quant/pass_counts.h"
#include "core/quant/plan.h"
#include "core/spec/evaluation_task.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/storage/checkpoint.h"
#include "core/storage/pass_cache.h"

namespace gwq {

struct QuantizeResult {
  Digest artifact;  // digest of the artifact's manifest; the manifest and all its blobs are committed to the store
  uint64_t stored_bytes = 0;
  std::string report_json;  // docs/report.md lists its fields
  std::string report_markdown;
  PassCounts passes;  // its gradient passes
};

// Runs `recipe` on the model whose manifest is the blob `source`. Memory stays within the plan's bound. The same source
// and recipe give the same artifact digest. Each of `evaluations` is run on the model and on the artifact against the
// model, for a table of the report. After each stage of a walk the job saves to `checkpoints` (null: nowhere), and it
// goes on from what an earlier attempt saved there: with the same result, and no stage but the one that was under way
// is walked twice. A gradient pass that an earlier job kept in `passes` (null: none did) is not run, and one that is
// run is kept there: with the same result. CANCELLED through `progress`. Blocks for minutes.
[[nodiscard]] absl::StatusOr<QuantizeResult> QuantizeModel(BlobStore& store, const Digest& source, const Recipe& recipe,
                                                           Progress& progress,
                                                           const std::vector<EvaluationTask>& evaluations = {},
                                                           CheckpointSlot* checkpoints = nullptr,
                                                           PassCache* passes = nullptr);

}  // namespace gwq
