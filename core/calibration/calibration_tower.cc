#include "core/calibration/calibration_tower.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<std::vector<const NamedWeight*>> PrepareGradients(TorchBackend& backend, const CalibrationWalk& walk,
                                                                 const std::vector<NamedWeight>& weights) {
  std::vector<const NamedWeight*> wanted;
  for (const NamedWeight& named : weights) {
    if (!walk.wanted(named.name)) continue;
    GWQ_RETURN_IF_ERROR(backend.WantGradient(*named.weight));
    wanted.push_back(&named);
  }
  return wanted;
}

absl::Status SinkGradients(TorchBackend& backend, const CalibrationWalk& walk,
                           std::span<const NamedWeight* const> wanted, Progress& progress) {
  for (const NamedWeight* named : wanted) {
    GWQ_RETURN_IF_ERROR(progress.Check());
    GWQ_ASSIGN_OR_RETURN(const std::span<const float> gradient, backend.GradientOf(*named->weight));
    GWQ_RETURN_IF_ERROR(walk.sink(named->name, gradient));
    backend.DropGradient(*named->weight);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<float>> TowerWalk::Forward() {
  const VisionTower& tower = *model_.vision();
  GWQ_ASSIGN_OR_RETURN(layout_, tower.Layout(walk_.tiles));
  const auto size = [&](int stage) {
    return static_cast<size_t>(layout_.rows[static_cast<size_t>(stage)] * tower.width(stage));
  };
  if (walk_.patches.size() != size(0)) {
    return InvalidField("patches", fmt::format("{} floats, the tiles take {}", walk_.patches.size(), size(0)));
  }
  inputs_.assign(static_cast<size_t>(stages()) + 1, {});
  inputs_[0].assign(walk_.patches.begin(), walk_.patches.end());
  for (int stage = 0; stage < stages(); ++stage) {
    GWQ_RETURN_IF_ERROR(progress_.Check());
    progress_.Step("forward, vision", stage, stages());
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<VisionStage> loaded, tower.LoadStage(stage, loader_));
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass,
                         backend_.Begin(BatchOfRows(layout_.rows[static_cast<size_t>(stage)]), nullptr));
    const Activation out =
        loaded->Run(*pass, layout_, pass->Input(inputs_[static_cast<size_t>(stage)], tower.width(stage)));
    std::vector<float>& next = inputs_[static_cast<size_t>(stage) + 1];
    next.resize(size(stage + 1));
    GWQ_RETURN_IF_ERROR(pass->Read(out, next));
    GWQ_RETURN_IF_ERROR(pass->Finish());
  }
  progress_.Step("forward, vision", stages(), stages());
  return std::exchange(inputs_.back(), {});
}

bool TowerWalk::Wanted(int stage) const {
  return std::ranges::any_of(model_.tensors(), [&](const TensorSpec& spec) {
    return spec.stage == model_.stages() + stage && walk_.wanted(spec.name);
  });
}

absl::Status TowerWalk::Backward(std::vector<float> gradient, int done, int total) {
  int lowest = 0;
  while (lowest < stages() && !Wanted(lowest)) ++lowest;
  for (int stage = stages() - 1; stage >= lowest; --stage) {
    GWQ_RETURN_IF_ERROR(progress_.Check());
    progress_.Step("backward", done++, total);
    GWQ_RETURN_IF_ERROR(StageBackward(stage, gradient));
    inputs_[static_cast<size_t>(stage)] = {};
  }
  progress_.Step("backward", total, total);
  return absl::OkStatus();
}

absl::Status TowerWalk::StageBackward(int stage, std::vector<float>& gradient) {
  const VisionTower& tower = *model_.vision();
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<VisionStage> loaded, tower.LoadStage(stage, loader_));
  GWQ_ASSIGN_OR_RETURN(const std::vector<const NamedWeight*> wanted,
                       PrepareGradients(backend_, walk_, loaded->weights()));
  const std::vector<float>& input = inputs_[static_cast<size_t>(stage)];
  {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<GradientPass> pass,
                         backend_.BeginGradient(BatchOfRows(layout_.rows[static_cast<size_t>(stage)])));
    Activation out = loaded->Run(*pass, layout_, pass->DifferentiableInput(input, tower.width(stage)));
    GWQ_RETURN_IF_ERROR(pass->Backward(std::move(out), gradient));
    gradient.resize(input.size());
    GWQ_RETURN_IF_ERROR(pass->InputGradient(gradient));
  }
  return SinkGradients(backend_, walk_, wanted, progress_);
}

}  // namespace gwq
