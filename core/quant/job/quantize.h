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
#include "core/spec/contract_check.h"
#include "core/spec/evaluation_task.h"
#include "core/spec/quality_contract.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/storage/checkpoint.h"
#include "core/storage/pass_cache.h"

namespace gwq {

struct QuantizeResult {
  Digest artifact;  // digest of the artifact's manifest; the manifest and all its blobs are committed to the store
  // Bounds of the contract that the artifact does not meet: it is not to be published, and its manifest has no gate.
  std::vector<ContractMiss> misses;
  uint64_t stored_bytes = 0;
  uint64_t quantized_weights = 0, total_weights = 0;
  double matrix_bits_per_weight = 0, model_bits_per_weight = 0;
  double most_matrix_bits = 0;  // that any target could give
  std::string report_json;      // docs/report.md lists its fields
  std::string report_markdown;
  PassCounts passes;  // its gradient passes
};

// Runs `recipe` on the model whose manifest is the blob `source`. Memory stays within the plan's bound. The same source
// and recipe give the same artifact digest. Each of `evaluations` is run on the model and on the artifact against the
// model, for a table of the report. After each stage of a walk the job saves to `checkpoints` (null: nowhere), and it
// goes on from what an earlier attempt saved there: with the same result, and no stage but the one that was under way
// is walked twice. A gradient pass that an earlier job kept in `passes` (null: none did) is not run, and one that is
// run is kept there: with the same result. An artifact that meets a contract has it in its manifest, with what was
// measured (core/spec/quality_gate.h). FAILED_PRECONDITION before anything is computed if the plan has more bits than
// the contract allows. CANCELLED through `progress`. Blocks for minutes.
[[nodiscard]] absl::StatusOr<QuantizeResult> QuantizeModel(BlobStore& store, const Digest& source, const Recipe& recipe,
                                                           Progress& progress,
                                                           const std::vector<EvaluationTask>& evaluations = {},
                                                           CheckpointSlot* checkpoints = nullptr,
                                                           PassCache* passes = nullptr,
                                                           const QualityContract& contract = {});

}  // namespace gwq
