#include "core/calibration/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/status.h"
#include "core/calibration/calibration_tower.h"

namespace gwq {
namespace {

// Rows of logits that are alive at a time when the loss is taken at every position.
constexpr int64_t kHeadRows = 64;

class Walk {
 public:
  Walk(const Model& model, WeightLoader& loader, TorchBackend& backend, const CalibrationWalk& walk, Progress& progress)
      : model_(model),
        loader_(loader),
        backend_(backend),
        walk_(walk),
        progress_(progress),
        rows_(static_cast<int64_t>(walk.tokens.size())),
        hidden_(model.config().hidden_size),
        indices_(walk.tokens.size()),
        positions_(walk.positions.begin(), walk.positions.end()) {
    std::iota(indices_.begin(), indices_.end(), 0);
    for (int axis = 0; walk.positions.empty() && axis < model.config().position_axes; ++axis) {
      positions_.insert(positions_.end(), indices_.begin(), indices_.end());
    }
    if (!walk.tiles.empty()) tower_.emplace(model, loader, backend, walk, progress);
    sequence_.rows = rows_;
  }

  absl::StatusOr<double> Run() {
    if (tower_) {
      GWQ_ASSIGN_OR_RETURN(embeddings_, tower_->Forward());
    }
    GWQ_RETURN_IF_ERROR(Forward());
    GWQ_ASSIGN_OR_RETURN(const double loss, Head());
    for (int stage = model_.stages() - 2; stage >= 1; --stage) GWQ_RETURN_IF_ERROR(BlockBackward(stage));
    if (!tower_) return loss;
    const int blocks = model_.stages() - 2;
    GWQ_RETURN_IF_ERROR(tower_->Backward(ImageGradient(), blocks, blocks + tower_->stages()));
    return loss;
  }

 private:
  [[nodiscard]] Batch MakeBatch(std::span<const int32_t> output_rows) const {
    Batch batch;
    batch.rows = rows_;
    batch.tokens = walk_.tokens;
    batch.embeddings = embeddings_;
    batch.position_axes = model_.config().position_axes;
    batch.positions = positions_;
    batch.sequences = {&sequence_, 1};
    batch.output_rows = output_rows;
    return batch;
  }
  [[nodiscard]] size_t StateSize() const { return static_cast<size_t>(rows_ * hidden_); }

  // What the embedding stage passes back: a row of the batch is a row of the picture, as it is.
  [[nodiscard]] std::vector<float> ImageGradient() const {
    std::vector<float> out(embeddings_.size(), 0.0F);
    for (int64_t row = 0; row < rows_; ++row) {
      const int32_t token = walk_.tokens[static_cast<size_t>(row)];
      if (token >= 0) continue;
      for (int64_t i = 0; i < hidden_; ++i) {
        out[static_cast<size_t>(int64_t{~token} * hidden_ + i)] += gradient_[static_cast<size_t>(row * hidden_ + i)];
      }
    }
    return out;
  }

  // inputs_[s] becomes the input of stage s.
  absl::Status Forward() {
    const int stages = model_.stages();
    inputs_.resize(static_cast<size_t>(stages));
    for (int stage = 0; stage + 1 < stages; ++stage) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      progress_.Step("forward", stage, stages - 1);
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
      const Batch batch = MakeBatch({});
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, nullptr));
      Activation x;
      if (stage > 0) x = pass->Input(inputs_[static_cast<size_t>(stage)], hidden_);
      const Activation out = loaded->Run(*pass, 0, std::move(x));
      std::vector<float>& next = inputs_[static_cast<size_t>(stage) + 1];
      next.resize(StateSize());
      GWQ_RETURN_IF_ERROR(pass->Read(out, next));
      GWQ_RETURN_IF_ERROR(pass->Finish());
    }
    progress_.Step("forward", stages - 1, stages - 1);
    return absl::OkStatus();
  }

  // Loss, and in gradient_ its gradient with respect to the last block's output.
  absl::StatusOr<double> Head() {
    const int last = model_.stages() - 1;
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> head, model_.LoadStage(last, loader_));
    const int64_t first = walk_.loss == Loss::kLast ? rows_ - 1 : 0;
    gradient_.assign(StateSize(), 0.0F);
    std::vector<float> part(StateSize());
    double loss = 0;
    for (int64_t begin = first; begin < rows_; begin += kHeadRows) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      const auto from = indices_.begin() + begin;
      const std::span<const int32_t> output(from, from + std::min(kHeadRows, rows_ - begin));
      const Batch batch = MakeBatch(output);
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass, backend_.BeginGradient(batch));
      Activation logits = head->Run(*pass, 0, pass->DifferentiableInput(inputs_.back(), hidden_));
      GWQ_ASSIGN_OR_RETURN(const double value, pass->LossBackward(std::move(logits), rows_ - first));
      GWQ_RETURN_IF_ERROR(pass->InputGradient(part));
      for (size_t i = 0; i < part.size(); ++i) gradient_[i] += part[i];
      loss += value;
    }
    inputs_.back() = {};
    if (!std::isfinite(loss)) {
      return absl::FailedPreconditionError(fmt::format(
          "the loss of the calibration sample is {}: the model's weights or the sample drive it out of range", loss));
    }
    return loss;
  }

  absl::Status BlockBackward(int stage) {
    GWQ_RETURN_IF_ERROR(progress_.Check());
    const int blocks = model_.stages() - 2;
    const int total = blocks + (tower_ ? tower_->stages() : 0);
    progress_.Step("backward", blocks - stage, total);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
    GWQ_ASSIGN_OR_RETURN(const std::vector<const NamedWeight*> wanted,
                         PrepareGradients(backend_, walk_, loaded->weights()));
    GWQ_RETURN_IF_ERROR(BackwardPass(stage, *loaded));
    inputs_[static_cast<size_t>(stage)] = {};
    GWQ_RETURN_IF_ERROR(SinkGradients(backend_, walk_, wanted, progress_));
    progress_.Step("backward", blocks - stage + 1, total);
    return absl::OkStatus();
  }

  absl::Status BackwardPass(int stage, const Stage& loaded) {
    const Batch batch = MakeBatch({});
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass, backend_.BeginGradient(batch));
    Activation out = loaded.Run(*pass, 0, pass->DifferentiableInput(inputs_[static_cast<size_t>(stage)], hidden_));
    GWQ_RETURN_IF_ERROR(pass->Backward(std::move(out), gradient_));
    return pass->InputGradient(gradient_);
  }

  const Model& model_;
  WeightLoader& loader_;
  TorchBackend& backend_;
  const CalibrationWalk& walk_;
  Progress& progress_;
  const int64_t rows_;
  const int64_t hidden_;
  std::vector<int32_t> indices_;
  std::vector<int32_t> positions_;  // [axes, rows]
  std::optional<TowerWalk> tower_;
  std::vector<float> embeddings_;  // of the picture
  SequenceRows sequence_;
  std::vector<std::vector<float>> inputs_;
  std::vector<float> gradient_;  // of the loss with respect to the current stage's output
};

}  // namespace

absl::StatusOr<double> WalkGradients(const Model& model, WeightLoader& loader, TorchBackend& backend,
                                     const CalibrationWalk& walk, Progress& progress) {
  return Walk(model, loader, backend, walk, progress).Run();
}

}  // namespace gwq
