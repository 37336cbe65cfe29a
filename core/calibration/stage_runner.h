// One stage of a model at a time, run on the samples of a calibration.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/torch/torch_backend.h"
#include "core/calibration/sample_set.h"
#include "core/models/model.h"

namespace gwq {

// A stage whose weights are loaded. Must not outlive its runner. Not thread-safe, stays on one thread.
class LoadedStage {
 public:
  virtual ~LoadedStage() = default;
  [[nodiscard]] virtual const std::vector<NamedWeight>& weights() const = 0;
  // What the stage makes of `input`, the state of the sample before it.
  [[nodiscard]] virtual absl::StatusOr<std::vector<float>> Forward(size_t sample,
                                                                   std::span<const float> input) const = 0;
  // The same with a record of what was done, and back from `gradient`, that of the loss with respect to the output:
  // adds to the gradients of the weights that were asked for, and replaces `gradient` by that with respect to `input`.
  [[nodiscard]] virtual absl::Status Backward(size_t sample, std::span<const float> input,
                                              std::vector<float>& gradient) const = 0;
  // For a loss of the stage's output alone: `loss` turns the output [rows, width] in place into the gradient of the
  // loss with respect to it. Adds to the gradients of the weights that were asked for.
  using OutputToGradient = std::function<void(std::span<float> output)>;
  [[nodiscard]] virtual absl::Status LossBackward(size_t sample, std::span<const float> input,
                                                  const OutputToGradient& loss) const = 0;
};

// The stages in the order of a forward walk, numbered from 0: those of the vision tower, if any sample has an image,
// then the embedding and the blocks of the decoder. The head is a stage by itself (HeadBackward). Not thread-safe.
class StageRunner {
 public:
  // All outlive it; `loader` gives weights of `backend` and does not keep them alive. INVALID_ARGUMENT if an
  // image's tiles and patches do not fit the tower.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<StageRunner>> Create(const Model& model, WeightLoader& loader,
                                                                           TorchBackend& backend,
                                                                           const SampleSet& samples);

  [[nodiscard]] const SampleSet& samples() const { return samples_; }
  [[nodiscard]] TorchBackend& backend() const { return backend_; }
  [[nodiscard]] int tower_stages() const { return tower_stages_; }
  [[nodiscard]] int stages() const { return tower_stages_ + model_.stages() - 1; }
  // As TensorSpec::stage counts.
  [[nodiscard]] int model_stage(int stage) const;
  [[nodiscard]] int head_stage() const { return model_.stages() - 1; }
  // A sample without an image has nothing to do in the tower.
  [[nodiscard]] bool Runs(int stage, size_t sample) const;

  // The state before the sample's first stage: its patches, or nothing before the embedding. INVALID_ARGUMENT if
  // patches that are made here do not fit the tower; the errors of read_patches.
  [[nodiscard]] absl::StatusOr<std::vector<float>> FirstState(size_t sample, int stage) const;
  // What the tower made of the sample's image, [image tokens, hidden]: the decoder's stages read it.
  void SetImageRows(size_t sample, std::vector<float> rows);
  // Empty before they are set, and without an image.
  [[nodiscard]] const std::vector<float>& image_rows(size_t sample) const { return image_rows_[sample]; }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<LoadedStage>> Load(int stage) const;

  // Logits of `rows` of the sample behind the last block, and the way back from them. `visit` turns logits [rows,
  // vocabulary] into the gradient of the loss in place. Returns the gradient with respect to `state`.
  using LogitsToGradient = std::function<void(std::span<float> logits)>;
  [[nodiscard]] absl::StatusOr<std::vector<float>> HeadBackward(const Stage& head, size_t sample,
                                                                std::span<const float> state,
                                                                std::span<const int32_t> rows,
                                                                const LogitsToGradient& visit) const;
  // Logits of `rows` of the sample behind the last block, [rows, vocabulary].
  [[nodiscard]] absl::StatusOr<std::vector<float>> HeadLogits(const Stage& head, size_t sample,
                                                              std::span<const float> state,
                                                              std::span<const int32_t> rows) const;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Stage>> LoadHead() const {
    return model_.LoadStage(head_stage(), loader_);
  }
  // The gradient with respect to the image rows, of that with respect to the embedding's output.
  [[nodiscard]] std::vector<float> ImageGradient(size_t sample, std::span<const float> gradient) const;

  // The sample as a batch, for the stages of the decoder.
  [[nodiscard]] Batch BatchOf(size_t sample, std::span<const int32_t> output_rows) const;
  [[nodiscard]] const VisionLayout& layout(size_t sample) const { return layouts_[sample]; }
  [[nodiscard]] int64_t hidden() const { return model_.config().hidden_size; }
  // Columns of what the stage makes.
  [[nodiscard]] int64_t output_width(int stage) const {
    return stage < tower_stages_ ? model_.vision()->width(stage + 1) : hidden();
  }

 private:
  StageRunner(const Model& model, WeightLoader& loader, TorchBackend& backend, const SampleSet& samples);
  [[nodiscard]] absl::Status LayOut();
  [[nodiscard]] absl::Status CheckPatches(size_t sample, std::span<const float> patches) const;

  const Model& model_;
  WeightLoader& loader_;
  TorchBackend& backend_;
  const SampleSet& samples_;
  int tower_stages_ = 0;
  std::vector<std::vector<int32_t>> positions_;  // by sample, [axes, tokens]
  std::vector<SequenceRows> sequences_;          // by sample
  std::vector<VisionLayout> layouts_;            // by sample; empty without an image
  std::vector<std::vector<float>> image_rows_;   // by sample
};

}  // namespace gwq
