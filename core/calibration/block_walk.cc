#include "core/calibration/block_walk.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr char kBlocks[] = "blocks";
constexpr char kImagesName[] = "images";

// Where the states of a sample stand: each stream has one at a time, and the image's rows beside them.
enum Slot : int { kQuantized = 0, kFull = 1, kTarget = 2, kImages = 3 };

class Walk {
 public:
  Walk(StageRunner& runner, const BlockWalkOptions& options, BlockVisitor& visitor, Progress& progress)
      : runner_(runner),
        options_(options),
        visitor_(visitor),
        progress_(progress),
        samples_(runner.samples().size()),
        states_(options.state_memory) {}

  absl::Status Run() {
    GWQ_RETURN_IF_ERROR(Begin());
    const int last = LastWanted();
    for (int stage = record_.stage; stage <= last; ++stage) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      progress_.Step(kBlocks, stage, last + 1);
      // Nobody reads what the last stage makes.
      const bool goes_on = stage < last;
      GWQ_RETURN_IF_ERROR(At(stage, goes_on));
      record_.stage = stage + 1;
      GWQ_RETURN_IF_ERROR(Keep(goes_on));
    }
    progress_.Step(kBlocks, last + 1, last + 1);
    return absl::OkStatus();
  }

 private:
  class Visited;

  absl::Status Begin() {
    record_ = options_.from.value_or(WalkRecord{kBlocks, 0, 0, {}});
    for (const auto& [name, blob] : record_.states) {
      const Slot slot = name == kImagesName ? kImages : name == "full" ? kFull : kQuantized;
      GWQ_RETURN_IF_ERROR(LoadStates(*options_.keep, blob, slot, samples_, states_, progress_));
    }
    for (size_t i = 0; i < samples_; ++i) {
      if (!states_.Holds(kImages, i)) continue;
      GWQ_ASSIGN_OR_RETURN(std::vector<float> rows, states_.Get(kImages, i));
      runner_.SetImageRows(i, std::move(rows));
    }
    return absl::OkStatus();
  }

  [[nodiscard]] int LastWanted() const {
    int last = runner_.stages() - 1;
    while (last >= 0 && !visitor_.Wants(runner_.model_stage(last))) --last;
    return last;
  }

  [[nodiscard]] absl::StatusOr<std::vector<float>> Before(int stage, size_t sample, Slot slot) const {
    if (stage == 0 || stage == runner_.tower_stages()) return runner_.FirstState(sample, stage);
    return states_.Get(slot, sample);
  }

  absl::Status At(int stage, bool goes_on);

  // One pass over all samples for what the visitor wants to know of the stage as it is.
  absl::Status Observe(int stage, const LoadedStage& loaded, const std::vector<size_t>& runs) {
    bool grams = false;
    for (const NamedWeight& named : loaded.weights()) {
      const GramKind kind = visitor_.WantsGram(named.name);
      if (kind == GramKind::kNone) continue;
      grams = true;
      GWQ_RETURN_IF_ERROR(runner_.backend().CollectGram(*named.weight, kind));
    }
    for (const size_t i : runs) {
      if (!grams) break;
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, Before(stage, i, kQuantized));
      GWQ_RETURN_IF_ERROR(loaded.Forward(i, input).status());
    }
    // The passes that follow see other weights, and are no part of the sums.
    for (const NamedWeight& named : loaded.weights()) runner_.backend().PauseGram(*named.weight);
    for (const size_t i : runs) {
      if (!visitor_.WantsTargets()) break;
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, Before(stage, i, kFull));
      GWQ_ASSIGN_OR_RETURN(std::vector<float> target, loaded.Forward(i, input));
      GWQ_RETURN_IF_ERROR(states_.Put(kTarget, i, std::move(target)));
    }
    return absl::OkStatus();
  }

  // Both streams go past the stage.
  absl::Status Advance(int stage, const LoadedStage& loaded, const std::vector<size_t>& runs) {
    const bool images = stage + 1 == runner_.tower_stages();
    for (const size_t i : runs) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      GWQ_ASSIGN_OR_RETURN(const std::vector<float> input, Before(stage, i, kQuantized));
      GWQ_ASSIGN_OR_RETURN(std::vector<float> output, loaded.Forward(i, input));
      if (images) {
        // Both streams read the rows that the quantized tower makes: the decoder's blocks have one batch a sample.
        if (options_.keep != nullptr) GWQ_RETURN_IF_ERROR(states_.Put(kImages, i, output));
        states_.Drop(kQuantized, i);
        runner_.SetImageRows(i, std::move(output));
      } else {
        GWQ_RETURN_IF_ERROR(states_.Put(kQuantized, i, std::move(output)));
      }
      if (!visitor_.WantsTargets()) continue;
      GWQ_ASSIGN_OR_RETURN(std::vector<float> target, states_.Get(kTarget, i));
      if (images) {
        states_.Drop(kFull, i);
      } else {
        GWQ_RETURN_IF_ERROR(states_.Put(kFull, i, std::move(target)));
      }
      states_.Drop(kTarget, i);
    }
    return absl::OkStatus();
  }

  absl::Status Keep(bool goes_on) {
    if (options_.keep == nullptr) return absl::OkStatus();
    // The rows of the images do not change once the tower has made them.
    std::erase_if(record_.states, [&](const auto& state) { return !goes_on || state.first != kImagesName; });
    if (!goes_on) return visitor_.Reached(record_);
    constexpr std::pair<Slot, const char*> kKept[] = {
        {kQuantized, "quantized"}, {kFull, "full"}, {kImages, kImagesName}};
    for (const auto& [slot, name] : kKept) {
      if (record_.states.contains(name) || !AnyHeld(slot)) continue;
      GWQ_ASSIGN_OR_RETURN(record_.states[name], StoreStates(*options_.keep, states_, slot, samples_, progress_));
    }
    return visitor_.Reached(record_);
  }

  [[nodiscard]] bool AnyHeld(Slot slot) const {
    for (size_t i = 0; i < samples_; ++i) {
      if (states_.Holds(slot, i)) return true;
    }
    return false;
  }

  StageRunner& runner_;
  const BlockWalkOptions& options_;
  BlockVisitor& visitor_;
  Progress& progress_;
  const size_t samples_;
  StateStore states_;
  WalkRecord record_;
};

class Walk::Visited final : public VisitedBlock {
 public:
  Visited(const Walk& walk, int stage, const LoadedStage& loaded, std::vector<size_t> samples)
      : walk_(walk), stage_(stage), loaded_(loaded), samples_(std::move(samples)) {}

  [[nodiscard]] int stage() const override { return walk_.runner_.model_stage(stage_); }
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return loaded_.weights(); }
  [[nodiscard]] int64_t width() const override { return walk_.runner_.output_width(stage_); }
  [[nodiscard]] absl::StatusOr<std::span<const float>> Gram(const NamedWeight& weight) const override {
    return walk_.runner_.backend().GramOf(*weight.weight);
  }
  void DropGram(const NamedWeight& weight) override { walk_.runner_.backend().DropGram(*weight.weight); }
  [[nodiscard]] absl::Status SetValues(const NamedWeight& weight, std::span<const float> values) override {
    return walk_.runner_.backend().SetValues(*weight.weight, values);
  }
  [[nodiscard]] absl::Status WantGradient(const NamedWeight& weight) override {
    return walk_.runner_.backend().WantGradient(*weight.weight);
  }
  [[nodiscard]] absl::StatusOr<std::span<const float>> Gradient(const NamedWeight& weight) const override {
    return walk_.runner_.backend().GradientOf(*weight.weight);
  }
  void DropGradient(const NamedWeight& weight) override { walk_.runner_.backend().DropGradient(*weight.weight); }
  [[nodiscard]] const std::vector<size_t>& samples() const override { return samples_; }
  [[nodiscard]] absl::StatusOr<std::vector<float>> Input(size_t sample) const override {
    return walk_.Before(stage_, sample, kQuantized);
  }
  [[nodiscard]] absl::StatusOr<std::vector<float>> Target(size_t sample) const override {
    if (!walk_.states_.Holds(kTarget, sample)) {
      return absl::FailedPreconditionError("the walk holds no targets: its visitor does not want them");
    }
    return walk_.states_.Get(kTarget, sample);
  }
  [[nodiscard]] const LoadedStage& loaded() const override { return loaded_; }

 private:
  const Walk& walk_;
  const int stage_;
  const LoadedStage& loaded_;
  const std::vector<size_t> samples_;
};

absl::Status Walk::At(int stage, bool goes_on) {
  std::vector<size_t> runs;
  for (size_t i = 0; i < samples_; ++i) {
    if (runner_.Runs(stage, i)) runs.push_back(i);
  }
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<LoadedStage> loaded, runner_.Load(stage));
  GWQ_RETURN_IF_ERROR(Observe(stage, *loaded, runs));
  Visited visited(*this, stage, *loaded, runs);
  GWQ_RETURN_IF_ERROR(visitor_.Visit(visited));
  return goes_on ? Advance(stage, *loaded, runs) : absl::OkStatus();
}

}  // namespace

absl::Status WalkBlocks(StageRunner& runner, const BlockWalkOptions& options, BlockVisitor& visitor,
                        Progress& progress) {
  return Walk(runner, options, visitor, progress).Run();
}

}  // namespace gwq
