// The walks of a quantization job: first the pass for Fisher information, then gradients, then block by block.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/calibration/calibration_backend.h"
#include "core/calibration/sample_set.h"
#include "core/quant/job/job_checkpoint.h"
#include "core/quant/job/mask_overlap.h"
#include "core/quant/job/packer.h"
#include "core/quant/plan.h"
#include "core/quant/report.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/storage/pass_cache.h"

namespace gwq {

// What the walks need to know; all outlive them. The open modules of `plan` get their forms.
struct CalibratedPacking {
  CalibrationBackend& backend;
  BlobStore& store;
  const StoredModel& source;
  const Recipe& recipe;
  Plan& plan;
  const SampleSet& samples;
  Packer& packer;
  ArtifactWriter& writer;
  ThreadPool& pool;
  JobCheckpoint& checkpoint;
  Progress& progress;
  PassCache& kept;              // passes of earlier jobs
  const std::string& producer;  // as PassKey::producer
};

// What a report tells of the walks.
struct CalibrationFigures {
  std::optional<double> loss;  // of the gradient walk, if there was one
  std::vector<ReportTuning> tuning;
  PassCounts passes;
  MaskOverlap overlap;  // of the gradient walk, if there was one over more than one sample
};

// Packs every module of the plan that needs a gradient or a Gram matrix, and in the stages that a walk over blocks
// passes the others too. Modules that `position` says are packed are not made again.
[[nodiscard]] absl::StatusOr<CalibrationFigures> PackCalibrated(const CalibratedPacking& job, JobPosition position);

}  // namespace gwq
