#include "core/models/model.h"

#include <unordered_set>
#include <utility>

#include "core/base/status.h"

namespace gwq {

std::string_view TensorKindName(TensorKind kind) {
  switch (kind) {
    case TensorKind::kEmbedding:
      return "embedding";
    case TensorKind::kNorm:
      return "norm";
    case TensorKind::kBias:
      return "bias";
    case TensorKind::kLinear:
      return "linear";
    case TensorKind::kHead:
      return "head";
  }
  return "";
}

std::string_view ModelPartName(ModelPart part) {
  switch (part) {
    case ModelPart::kLanguage:
      return "language";
    case ModelPart::kVision:
      return "vision";
    case ModelPart::kProjector:
      return "projector";
  }
  return "";
}

LoadedModel::LoadedModel(std::shared_ptr<const Model> model, std::vector<std::unique_ptr<Stage>> stages)
    : model_(std::move(model)), stages_(std::move(stages)) {}

absl::StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::Load(
    std::shared_ptr<const Model> model, WeightLoader& loader,
    const std::function<absl::Status(int done, int total)>& progress) {
  std::vector<std::unique_ptr<Stage>> stages;
  const int total = model->stages();
  for (int stage = 0; stage < total; ++stage) {
    if (progress) GWQ_RETURN_IF_ERROR(progress(stage, total));
    GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Stage> loaded, model->LoadStage(stage, loader));
    stages.push_back(std::move(loaded));
  }
  if (progress) GWQ_RETURN_IF_ERROR(progress(total, total));
  return std::unique_ptr<LoadedModel>(new LoadedModel(std::move(model), std::move(stages)));
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

uint64_t LoadedModel::weight_bytes() const {
  std::unordered_set<const Weight*> seen;
  uint64_t bytes = 0;
  for (const auto& stage : stages_) {
    for (const Stage::NamedWeight& named : stage->weights()) {
      if (seen.insert(named.weight.get()).second) bytes += named.weight->bytes();
    }
  }
  return bytes;
}

}  // namespace gwq
