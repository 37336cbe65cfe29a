#include "core/models/model.h"

#include <fmt/format.h>

#include <unordered_set>
#include <utility>

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::Load(
    std::shared_ptr<const Model> model, WeightLoader& loader,
    const std::function<absl::Status(int done, int total)>& progress) {
  const int total = model->all_stages();
  std::unique_ptr<LoadedModel> loaded(new LoadedModel(std::move(model)));
  const Model& source = *loaded->model_;
  for (int stage = 0; stage < total; ++stage) {
    if (progress) GWQ_RETURN_IF_ERROR(progress(stage, total));
    if (stage < source.stages()) {
      GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Stage> next, source.LoadStage(stage, loader));
      loaded->stages_.push_back(std::move(next));
    } else {
      GWQ_ASSIGN_OR_RETURN(std::unique_ptr<VisionStage> next,
                           source.vision()->LoadStage(stage - source.stages(), loader));
      loaded->vision_stages_.push_back(std::move(next));
    }
  }
  if (progress) GWQ_RETURN_IF_ERROR(progress(total, total));
  return loaded;
}

absl::Status LoadedModel::Forward(Backend& backend, const Batch& batch, KvCache* cache, std::span<float> logits) const {
  GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Pass> pass, backend.Begin(batch, cache));
  Activation x;
  for (int stage = 0; stage < model_->stages(); ++stage) {
    // Stage 0 embeds, so block i writes layer i - 1 of the cache.
    x = stages_[static_cast<size_t>(stage)]->Run(*pass, stage - 1, std::move(x));
  }
  GWQ_RETURN_IF_ERROR(pass->Read(x, logits));
  return pass->Finish();
}

absl::Status LoadedModel::EncodeTile(Backend& backend, std::span<const float> patches, const VisionLayout& layout,
                                     std::span<float> out, const RunStage& run) const {
  const VisionTower& tower = *model_->vision();
  std::vector<float> states;  // what the stage before made
  for (size_t s = 0; s < vision_stages_.size(); ++s) {
    const bool last = s + 1 == vision_stages_.size();
    const auto stage = [&]() -> absl::Status {
      GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Pass> pass, backend.Begin(BatchOfRows(layout.rows[s]), nullptr));
      Activation x = pass->Input(s == 0 ? patches : states, tower.width(static_cast<int>(s)));
      states = {};
      x = vision_stages_[s]->Run(*pass, layout, std::move(x));
      if (!last) states.resize(static_cast<size_t>(layout.rows[s + 1] * tower.width(static_cast<int>(s) + 1)));
      GWQ_RETURN_IF_ERROR(pass->Read(x, last ? out : std::span<float>(states)));
      return pass->Finish();
    };
    GWQ_RETURN_IF_ERROR(run ? run(stage) : stage());
  }
  return absl::OkStatus();
}

absl::Status LoadedModel::EncodeImage(Backend& backend, std::span<const float> patches,
                                      std::span<const PatchGrid> tiles, std::span<float> out,
                                      const RunStage& run) const {
  const VisionTower* tower = model_->vision();
  if (tower == nullptr) {
    return absl::FailedPreconditionError(fmt::format("{} takes no images", model_->config().architecture));
  }
  // All of them first, so that nothing is computed for sizes that do not fit.
  std::vector<VisionLayout> layouts;
  int64_t rows = 0;
  int64_t tokens = 0;
  for (const PatchGrid& tile : tiles) {
    GWQ_ASSIGN_OR_RETURN(VisionLayout layout, tower->Layout({&tile, 1}));
    rows += layout.rows.front();
    tokens += layout.rows.back();
    layouts.push_back(std::move(layout));
  }
  const auto in = static_cast<size_t>(tower->width(0));
  const auto hidden = static_cast<size_t>(tower->width(tower->stages()));
  if (patches.size() != static_cast<size_t>(rows) * in || out.size() != static_cast<size_t>(tokens) * hidden) {
    return InvalidField("patches", fmt::format("{} floats into {}, the tiles' {} patches of {} give {} rows of {}",
                                               patches.size(), out.size(), rows, in, tokens, hidden));
  }
  for (const VisionLayout& layout : layouts) {
    const size_t taken = static_cast<size_t>(layout.rows.front()) * in;
    const size_t given = static_cast<size_t>(layout.rows.back()) * hidden;
    GWQ_RETURN_IF_ERROR(EncodeTile(backend, patches.first(taken), layout, out.first(given), run));
    patches = patches.subspan(taken);
    out = out.subspan(given);
  }
  return absl::OkStatus();
}

uint64_t LoadedModel::weight_bytes() const {
  std::unordered_set<const Weight*> seen;
  uint64_t bytes = 0;
  const auto count = [&](const std::vector<NamedWeight>& weights) {
    for (const NamedWeight& named : weights) {
      if (seen.insert(named.weight.get()).second) bytes += named.weight->bytes();
    }
  };
  for (const auto& stage : stages_) count(stage->weights());
  for (const auto& stage : vision_stages_) count(stage->weights());
  return bytes;
}

}  // namespace gwq
