// Tuning of the scales of all blocks together, after they were packed: the second part of method "tuned".
//
// The loss is KL(full-precision model || quantized model) over all positions of a sample. A step takes one sample
// through the quantized model, stage by stage, and back again; each tensor is changed as soon as its gradient is known
// (tuned/tuned_tensor.h). (End-to-end training of scales as in EfficientQAT, arXiv 2407.11062, with the divergence as
// the loss.)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/calibration/stage_runner.h"
#include "core/calibration/state_store.h"
#include "core/quant/job/calibrated_packing.h"
#include "core/quant/job/tuned_loader.h"

namespace gwq {

// Not thread-safe; stays on one thread.
class ModelTuning {
 public:
  // All outlive it. `ends` holds, at slot `targets`, what the full-precision model's last block makes of each sample,
  // and at slot `images` the rows that the tower makes of its image, if it has one.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ModelTuning>> Create(const CalibratedPacking& job,
                                                                           const StateStore& ends, int targets,
                                                                           int images);
  ~ModelTuning();

  // Step number `step` of recipe.tuned.model_steps, from 0. Returns the loss before it.
  [[nodiscard]] absl::StatusOr<double> Step(int step);
  // Stores the tensors as they are now in the place of what was packed before.
  [[nodiscard]] absl::Status Finish();

  // All that was learned, by tensor, for a checkpoint.
  [[nodiscard]] absl::StatusOr<Digest> Store(BlobStore& store) const;
  // DATA_LOSS if it is not of this model.
  [[nodiscard]] absl::Status Restore(BlobStore& store, const Digest& blob);

 private:
  ModelTuning(const CalibratedPacking& job, const StateStore& ends, int targets);
  [[nodiscard]] absl::Status Open(int images);
  [[nodiscard]] absl::StatusOr<double> Head(size_t sample, std::vector<float>& state, float rate, int step);
  [[nodiscard]] absl::Status Backward(int stage, size_t sample, const std::vector<float>& input,
                                      std::vector<float>& gradient, float rate, int step);
  [[nodiscard]] absl::Status WantGradients(const std::vector<NamedWeight>& weights) const;
  [[nodiscard]] absl::Status Learn(const std::vector<NamedWeight>& weights, float rate, int step);
  [[nodiscard]] absl::Status FinishNorm(const std::string& tensor, const TunedTensor& tuned);

  const CalibratedPacking& job_;
  const SampleSet& samples_;
  const StateStore& ends_;
  const int targets_;
  TunedLoader::Tensors tensors_;
  std::map<std::string, float> rates_;  // of the first step, by matrix
  float norm_rate_ = 0;
  std::unique_ptr<TunedLoader> loader_;
  std::unique_ptr<WeightLoader> full_;
  std::unique_ptr<StageRunner> runner_;
  StateStore states_;
  std::vector<size_t> order_;
};

}  // namespace gwq
