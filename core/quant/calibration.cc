#include "core/quant/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "core/base/status.h"

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
        positions_(walk.tokens.size()) {
    std::iota(positions_.begin(), positions_.end(), 0);
    sequence_.rows = rows_;
  }

  absl::StatusOr<double> Run() {
    GWQ_RETURN_IF_ERROR(Forward());
    GWQ_ASSIGN_OR_RETURN(const double loss, Head());
    for (int stage = model_.stages() - 2; stage >= 1; --stage) GWQ_RETURN_IF_ERROR(BlockBackward(stage));
    return loss;
  }

 private:
  [[nodiscard]] Batch MakeBatch(std::span<const int32_t> output_rows) const {
    Batch batch;
    batch.rows = rows_;
    batch.tokens = walk_.tokens;
    batch.positions = positions_;
    batch.sequences = {&sequence_, 1};
    batch.output_rows = output_rows;
    return batch;
  }
  [[nodiscard]] size_t StateSize() const { return static_cast<size_t>(rows_ * hidden_); }

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
      const auto from = positions_.begin() + begin;
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
    progress_.Step("backward", blocks - stage, blocks);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
    std::vector<const Stage::NamedWeight*> wanted;
    for (const Stage::NamedWeight& named : loaded->weights()) {
      if (!walk_.wanted(named.name)) continue;
      GWQ_RETURN_IF_ERROR(backend_.WantGradient(*named.weight));
      wanted.push_back(&named);
    }
    GWQ_RETURN_IF_ERROR(BackwardPass(stage, *loaded));
    inputs_[static_cast<size_t>(stage)] = {};
    for (const Stage::NamedWeight* named : wanted) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const std::span<const float> gradient, backend_.GradientOf(*named->weight));
      GWQ_RETURN_IF_ERROR(walk_.sink(named->name, gradient));
      backend_.DropGradient(*named->weight);
    }
    progress_.Step("backward", blocks - stage + 1, blocks);
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
  std::vector<int32_t> positions_;
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
