#include "core/calibration/text_batch.h"

#include <numeric>
#include <utility>

#include "core/base/status.h"
#include "core/models/cache_shape.h"
#include "core/models/stage_walk.h"

namespace gwq {

absl::StatusOr<std::unique_ptr<TextBatch>> TextBatch::Create(const Model& model, WeightLoader& loader, Backend& backend,
                                                             size_t texts, int64_t length, Progress& progress) {
  std::unique_ptr<TextBatch> batch(new TextBatch(model, loader, backend, progress));
  const int64_t blocks = CacheBlocksFor(length);
  const KvCacheShape shape = CacheShapeFor(model.config(), model.config().blocks, blocks * static_cast<int64_t>(texts));
  batch->blocks_.resize(static_cast<size_t>(shape.blocks));
  std::iota(batch->blocks_.begin(), batch->blocks_.end(), 0);
  batch->blocks_per_text_ = static_cast<size_t>(blocks);
  GWQ_ASSIGN_OR_RETURN(batch->cache_, backend.CreateKvCache(shape));
  return batch;
}

absl::Status TextBatch::Forward(const std::vector<std::vector<int32_t>>& texts, std::span<float> logits) {
  StageWalk walk(model_, loader_, backend_, *cache_);
  std::vector<StageWalk::Rows> pass;
  std::vector<int32_t> output_rows;
  for (size_t text = 0; text < texts.size(); ++text) {
    const std::span<const int32_t> tokens = texts[text];
    const auto blocks = std::span<const int32_t>(blocks_).subspan(text * blocks_per_text_, blocks_per_text_);
    output_rows.push_back(static_cast<int32_t>(text));
    pass.push_back({walk.Add({.tokens = tokens.last(1), .context = std::ssize(tokens) - 1, .blocks = blocks}), 0, 1});
  }
  walk.AddPass(std::move(pass));
  for (int stage = 0; stage + 1 < model_.stages(); ++stage) GWQ_RETURN_IF_ERROR(walk.RunStage(stage, progress_));
  GWQ_RETURN_IF_ERROR(progress_.Check());
  GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> head, walk.LoadHead());
  return walk.Logits(*head, 0, output_rows, logits);
}

}  // namespace gwq
