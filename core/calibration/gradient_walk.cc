#include "core/calibration/gradient_walk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "core/base/draw.h"
#include "core/base/status.h"
#include "core/calibration/loss.h"

namespace gwq {
namespace {

// Rows of logits that are alive at a time when the loss is taken at every position.
constexpr int64_t kHeadRows = 64;
constexpr char kForward[] = "forward";
constexpr char kBackward[] = "backward";
// The place of the gradients among the states, which are kept by the stage that reads them.
constexpr int kGradientSlot = -1;
constexpr int kImageSlot = -2;

absl::StatusOr<int> SlotOf(const std::string& name) {
  if (name == "gradient") return kGradientSlot;
  if (name == "images") return kImageSlot;
  int stage = 0;
  if (name.starts_with("in.") && absl::SimpleAtoi(name.substr(3), &stage)) return stage;
  return absl::DataLossError(fmt::format("a checkpoint's walk forth and back has a state '{}'", name));
}

class Walk {
 public:
  Walk(StageRunner& runner, const Model& model, const GradientWalkOptions& options, GradientVisitor& visitor,
       Progress& progress)
      : runner_(runner),
        model_(model),
        options_(options),
        visitor_(visitor),
        progress_(progress),
        samples_(runner.samples().size()),
        tower_(runner.tower_stages()),
        stages_(runner.stages()),
        states_(options.state_memory) {}

  absl::StatusOr<double> Run() {
    GWQ_RETURN_IF_ERROR(Begin());
    if (record_.phase == kForward) {
      for (int stage = record_.stage; stage < stages_; ++stage) GWQ_RETURN_IF_ERROR(Forward(stage));
      progress_.Step(kForward, stages_ - tower_, stages_ - tower_);
      GWQ_RETURN_IF_ERROR(Head());
    }
    lowest_ = LowestWanted();
    for (int stage = record_.stage; stage >= lowest_; --stage) GWQ_RETURN_IF_ERROR(Backward(stage));
    progress_.Step(kBackward, BackwardStages(), BackwardStages());
    return record_.loss;
  }

 private:
  // From the start, or with the states of an earlier attempt.
  absl::Status Begin() {
    record_ = options_.from.value_or(WalkRecord{kForward, 0, 0, {}});
    if (record_.stage < -1 || record_.stage > stages_) {
      return absl::DataLossError(fmt::format("a checkpoint's walk stands at stage {} of {}", record_.stage, stages_));
    }
    for (const auto& [name, blob] : record_.states) {
      GWQ_ASSIGN_OR_RETURN(const int slot, SlotOf(name));
      GWQ_RETURN_IF_ERROR(LoadStates(*options_.keep, blob, slot, samples_, states_, progress_));
    }
    for (size_t i = 0; i < samples_; ++i) {
      if (!states_.Holds(kImageSlot, i)) continue;
      GWQ_ASSIGN_OR_RETURN(std::vector<float> rows, states_.Get(kImageSlot, i));
      runner_.SetImageRows(i, std::move(rows));
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<float>> Input(int stage, size_t sample) {
    if (stage == 0 || stage == tower_) return runner_.FirstState(sample, stage);
    return states_.Get(stage, sample);
  }

  absl::Status Forward(int stage) {
    GWQ_RETURN_IF_ERROR(progress_.Check());
    const bool tower = stage < tower_;
    progress_.Step(tower ? "forward, vision" : kForward, tower ? stage : stage - tower_,
                   tower ? tower_ : stages_ - tower_);
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<LoadedStage> loaded, runner_.Load(stage));
    for (size_t i = 0; i < samples_; ++i) {
      if (!runner_.Runs(stage, i)) continue;
      if (i > 0) GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, Input(stage, i));
      GWQ_ASSIGN_OR_RETURN(std::vector<float> output, loaded->Forward(i, input));
      if (stage + 1 == tower_) {
        if (options_.keep != nullptr) GWQ_RETURN_IF_ERROR(states_.Put(kImageSlot, i, output));
        runner_.SetImageRows(i, std::move(output));
      } else {
        GWQ_RETURN_IF_ERROR(states_.Put(stage + 1, i, std::move(output)));
      }
    }
    if (tower && stage + 1 == tower_) progress_.Step("forward, vision", tower_, tower_);
    record_.stage = stage + 1;
    return Keep(stage + 1 == tower_ ? "images" : fmt::format("in.{}", stage + 1),
                stage + 1 == tower_ ? kImageSlot : stage + 1);
  }

  // Stores the states of `slot` under `name` and tells the visitor how far the walk came.
  absl::Status Keep(const std::string& name, int slot) {
    if (options_.keep == nullptr) return absl::OkStatus();
    GWQ_ASSIGN_OR_RETURN(record_.states[name], StoreStates(*options_.keep, states_, slot, samples_, progress_));
    return visitor_.Reached(record_);
  }

  // The loss, and the gradients with respect to the last block's outputs.
  absl::Status Head() {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> head, runner_.LoadHead());
    double loss = 0;
    for (size_t i = 0; i < samples_; ++i) {
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> state, Input(stages_, i));
      std::vector<float> gradient(state.size(), 0.0F);
      GWQ_RETURN_IF_ERROR(HeadOf(*head, i, state, gradient, loss));
      GWQ_RETURN_IF_ERROR(states_.Put(kGradientSlot, i, std::move(gradient)));
      states_.Drop(stages_, i);
    }
    if (!std::isfinite(loss)) {
      return absl::FailedPreconditionError(fmt::format(
          "the loss of the calibration sample is {}: the model's weights or the sample drive it out of range", loss));
    }
    record_ = {kBackward, stages_ - 1, loss, std::move(record_.states)};
    record_.states.erase(fmt::format("in.{}", stages_));
    return Keep("gradient", kGradientSlot);
  }

  absl::Status HeadOf(const Stage& head, size_t sample, std::span<const float> state, std::vector<float>& gradient,
                      double& loss) {
    const auto rows = static_cast<int64_t>(runner_.samples()[sample].tokens.size());
    const int64_t first = options_.loss == Loss::kLast ? rows - 1 : 0;
    const double positions = static_cast<double>(rows - first) * static_cast<double>(samples_);
    for (int64_t begin = first; begin < rows; begin += kHeadRows) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      std::vector<int32_t> output(static_cast<size_t>(std::min(kHeadRows, rows - begin)));
      std::iota(output.begin(), output.end(), static_cast<int32_t>(begin));
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> part,
                           runner_.HeadBackward(head, sample, state, output, [&](std::span<float> logits) {
                             loss += LossOf(logits, positions, sample, begin);
                           }));
      for (size_t i = 0; i < part.size(); ++i) gradient[i] += part[i];
    }
    return absl::OkStatus();
  }

  double LossOf(std::span<float> logits, double positions, size_t sample, int64_t first) const {
    const auto vocabulary = static_cast<size_t>(model_.config().vocab_size);
    if (!options_.label_seed) return OwnLabelLoss(logits, vocabulary, positions);
    return DrawnLabelLoss(logits, vocabulary, positions, Draw(*options_.label_seed, sample),
                          static_cast<uint64_t>(first));
  }

  [[nodiscard]] bool Wanted(int stage) const {
    if (visitor_.WantsOutput(runner_.model_stage(stage))) return true;
    return std::ranges::any_of(model_.tensors(), [&](const TensorSpec& spec) {
      return spec.stage == runner_.model_stage(stage) && visitor_.Wants(spec.name);
    });
  }

  // The tower's stages below the lowest one with a wanted weight are not run again; the decoder's blocks all are.
  [[nodiscard]] int LowestWanted() const {
    int lowest = 0;
    while (lowest < tower_ && !Wanted(lowest)) ++lowest;
    return lowest == tower_ ? tower_ + 1 : lowest;
  }

  // As progress counts: the embedding has nothing to go back through.
  [[nodiscard]] int BackwardStages() const { return stages_ - 1; }
  [[nodiscard]] int BackwardDone(int stage) const { return stage > tower_ ? stages_ - 1 - stage : stages_ - 2 - stage; }

  absl::Status Backward(int stage) {
    if (stage == tower_) return BackThroughEmbedding();
    GWQ_RETURN_IF_ERROR(progress_.Check());
    progress_.Step(kBackward, BackwardDone(stage), BackwardStages());
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<LoadedStage> loaded, runner_.Load(stage));
    GWQ_ASSIGN_OR_RETURN(const std::vector<const NamedWeight*> wanted, AskForGradients(*loaded));
    const size_t second_half = SecondHalf(stage);
    for (size_t i = 0; i < samples_; ++i) {
      if (!runner_.Runs(stage, i)) continue;
      if (i > 0) GWQ_RETURN_IF_ERROR(progress_.Check());
      if (i == second_half) GWQ_RETURN_IF_ERROR(GiveHalf(wanted));
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, Input(stage, i));
      GWQ_ASSIGN_OR_RETURN(std::vector<float> gradient, states_.Get(kGradientSlot, i));
      if (visitor_.WantsOutput(runner_.model_stage(stage))) {
        GWQ_RETURN_IF_ERROR(visitor_.TakeOutput(runner_.model_stage(stage), runner_.output_width(stage), gradient));
      }
      GWQ_RETURN_IF_ERROR(loaded->Backward(i, input, gradient));
      GWQ_RETURN_IF_ERROR(states_.Put(kGradientSlot, i, std::move(gradient)));
      states_.Drop(stage, i);
      if (visitor_.TakesEachSample()) GWQ_RETURN_IF_ERROR(Give(wanted));
    }
    if (!visitor_.TakesEachSample()) GWQ_RETURN_IF_ERROR(Give(wanted));
    GWQ_RETURN_IF_ERROR(visitor_.EndStage(runner_.model_stage(stage)));
    record_.stage = stage - 1;
    record_.states.erase(fmt::format("in.{}", stage));
    return Keep("gradient", kGradientSlot);
  }

  // The first sample of the second half of those that run through the stage; past the end if nobody wants halves, or
  // there are none.
  [[nodiscard]] size_t SecondHalf(int stage) const {
    if (!visitor_.WantsHalves() || visitor_.TakesEachSample()) return samples_;
    std::vector<size_t> run;
    for (size_t i = 0; i < samples_; ++i) {
      if (runner_.Runs(stage, i)) run.push_back(i);
    }
    return run.size() < 2 ? samples_ : run[run.size() / 2];
  }

  absl::Status GiveHalf(const std::vector<const NamedWeight*>& wanted) {
    for (const NamedWeight* const named : wanted) {
      GWQ_ASSIGN_OR_RETURN(const std::span<const float> gradient, runner_.backend().GradientOf(*named->weight));
      GWQ_RETURN_IF_ERROR(visitor_.TakeHalf(named->name, gradient));
    }
    return absl::OkStatus();
  }

  absl::Status Give(const std::vector<const NamedWeight*>& wanted) {
    for (const NamedWeight* const named : wanted) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const std::span<const float> gradient, runner_.backend().GradientOf(*named->weight));
      GWQ_RETURN_IF_ERROR(visitor_.Take(named->name, gradient));
      runner_.backend().DropGradient(*named->weight);
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<const NamedWeight*>> AskForGradients(const LoadedStage& loaded) const {
    std::vector<const NamedWeight*> wanted;
    for (const NamedWeight& named : loaded.weights()) {
      if (!visitor_.Wants(named.name)) continue;
      GWQ_RETURN_IF_ERROR(runner_.backend().WantGradient(*named.weight));
      wanted.push_back(&named);
    }
    return wanted;
  }

  absl::Status BackThroughEmbedding() {
    for (size_t i = 0; i < samples_; ++i) {
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> gradient, states_.Get(kGradientSlot, i));
      GWQ_RETURN_IF_ERROR(states_.Put(kGradientSlot, i, runner_.ImageGradient(i, gradient)));
    }
    record_.stage = tower_ - 1;
    return Keep("gradient", kGradientSlot);
  }

  StageRunner& runner_;
  const Model& model_;
  const GradientWalkOptions& options_;
  GradientVisitor& visitor_;
  Progress& progress_;
  const size_t samples_;
  const int tower_;
  const int stages_;  // the head left out
  StateStore states_;
  WalkRecord record_;
  int lowest_ = 0;
};

}  // namespace

absl::StatusOr<double> WalkGradients(StageRunner& runner, const Model& model, const GradientWalkOptions& options,
                                     GradientVisitor& visitor, Progress& progress) {
  return Walk(runner, model, options, visitor, progress).Run();
}

}  // namespace gwq
