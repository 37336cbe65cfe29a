// How far a quantization job came, as its checkpoint holds it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/calibration/sample_set.h"
#include "core/calibration/walk_record.h"
#include "core/quant/budget/target.h"
#include "core/quant/job/mask_overlap.h"
#include "core/quant/job/packer.h"
#include "core/quant/pass_counts.h"
#include "core/quant/plan.h"
#include "core/storage/checkpoint.h"

namespace gwq {

// The walks of a job, in the order in which they run.
enum class JobStep { kFisher, kGradients, kBlocks, kModel };

struct JobPosition {
  JobStep step = JobStep::kFisher;
  std::optional<WalkRecord> walk;         // how far the step's walk came; none: it has not begun
  std::optional<double> loss;             // of the gradient walk, once it is done
  std::map<int, Digest> metrics = {};     // scratch blobs of the metrics that are known, by stage (block_metrics.h)
  FormLosses losses = {};                 // of the stages that the Fisher pass went through
  int model_steps = 0;                    // of the last step, that are done
  std::vector<double> model_losses = {};  // of those, added up for each of tuning_points.h's points
  // Scratch blobs of the last step: "targets" and "images" of all samples, "learned" after the first (model_tuning.h).
  std::map<std::string, Digest> model = {};
  PassCounts passes = {};
  // Of the gradient walk under way, by tensor: scratch blobs that a record of it will name (kept_passes.h).
  std::map<std::string, Digest> gradients = {};
  MaskOverlap overlap = {};  // of the gradient walk, of the matrices that are done
};

// Saves and restores position, samples and packed matrices of one job. Not thread-safe.
class JobCheckpoint {
 public:
  // All outlive it. `producer` names what determines the bytes besides source and recipe: another one's checkpoint is
  // not used, because this machine may make other bytes.
  JobCheckpoint(BlobStore& store, CheckpointSlot& slot, Packer& packer, const Recipe& recipe, std::string producer)
      : store_(store), slot_(slot), packer_(packer), recipe_(recipe), producer_(std::move(producer)) {}

  // Where states of walks are kept; null: nowhere, because nobody would read them.
  [[nodiscard]] bool keeps() const { return slot_.keeps(); }
  // Where the last attempt came to; its packed matrices are in the packer then, and its samples in `samples` if none
  // has an image. The start if there is no checkpoint, or one that is of another producer or another version, or is
  // damaged, or names a blob that is; the log tells. Open modules of `plan` get their forms if they were chosen.
  [[nodiscard]] absl::StatusOr<JobPosition> Restore(Plan& plan, SampleSet& samples, Progress& progress);
  [[nodiscard]] absl::Status Save(const JobPosition& position, const SampleSet& samples);

 private:
  // What a checkpoint says, checked as a whole before any of it is used.
  struct Restored {
    nlohmann::json state;
    Plan plan;
    Packer::Restored packed;
    JobPosition position;
    std::optional<Digest> samples_blob;
    SampleSet samples;
  };
  // DATA_LOSS if it cannot be used.
  [[nodiscard]] absl::StatusOr<Restored> Parse(const Checkpoint& checkpoint, const Plan& plan);
  // The blob of the samples' tokens, stored once.
  [[nodiscard]] absl::Status StoreSamples(const SampleSet& samples);

  BlobStore& store_;
  CheckpointSlot& slot_;
  Packer& packer_;
  const Recipe& recipe_;
  const std::string producer_;
  std::optional<Digest> samples_;
};

}  // namespace gwq
