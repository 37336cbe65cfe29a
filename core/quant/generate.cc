#include "core/quant/generate.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr int64_t kCacheBlockTokens = 16;

class Generator {
 public:
  Generator(const Model& model, WeightLoader& loader, Backend& backend, bool resident, Progress& progress)
      : model_(model), loader_(loader), backend_(backend), resident_(resident), progress_(progress) {}

  absl::StatusOr<std::vector<int32_t>> Run(int32_t first, int64_t count, const std::vector<int32_t>& excluded) {
    GWQ_RETURN_IF_ERROR(Prepare(count));
    std::vector<int32_t> tokens = {first};
    std::vector<float> logits(static_cast<size_t>(model_.config().vocab_size));
    while (static_cast<int64_t>(tokens.size()) < count) {
      GWQ_RETURN_IF_ERROR(progress_.Check());
      progress_.Step("sample", static_cast<int64_t>(tokens.size()), count);
      GWQ_RETURN_IF_ERROR(Forward(tokens.back(), static_cast<int32_t>(tokens.size()) - 1, logits));
      for (const int32_t id : excluded) {
        if (id >= 0 && static_cast<size_t>(id) < logits.size()) logits[static_cast<size_t>(id)] = -3e38F;
      }
      tokens.push_back(static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin()));
    }
    progress_.Step("sample", count, count);
    return tokens;
  }

 private:
  absl::Status Prepare(int64_t count) {
    KvCacheShape shape;
    shape.layers = model_.config().blocks;
    shape.kv_heads = model_.config().attention.kv_heads;
    shape.head_dim = model_.config().attention.head_dim;
    shape.block_tokens = kCacheBlockTokens;
    shape.blocks = (count + kCacheBlockTokens - 1) / kCacheBlockTokens;
    blocks_.resize(static_cast<size_t>(shape.blocks));
    std::iota(blocks_.begin(), blocks_.end(), 0);
    GWQ_ASSIGN_OR_RETURN(cache_, backend_.CreateKvCache(shape));
    for (int stage = 0; resident_ && stage < model_.stages(); ++stage) {
      GWQ_ASSIGN_OR_RETURN(std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
      stages_.push_back(std::move(loaded));
    }
    return absl::OkStatus();
  }

  // One token through all stages.
  absl::Status Forward(int32_t token, int32_t position, std::span<float> logits) {
    SequenceRows sequence;
    sequence.rows = 1;
    sequence.context = position;
    sequence.blocks = blocks_;
    const int32_t output_row = 0;
    Batch batch;
    batch.rows = 1;
    batch.tokens = {&token, 1};
    batch.positions = {&position, 1};
    batch.sequences = {&sequence, 1};
    batch.output_rows = {&output_row, 1};
    return resident_ ? WholePass(batch, logits) : PassPerStage(batch, logits);
  }

  absl::Status WholePass(const Batch& batch, std::span<float> logits) {
    GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, cache_.get()));
    Activation x;
    for (int stage = 0; stage < model_.stages(); ++stage) {
      x = stages_[static_cast<size_t>(stage)]->Run(*pass, stage - 1, std::move(x));
    }
    GWQ_RETURN_IF_ERROR(pass->Read(x, logits));
    return pass->Finish();
  }

  // Weights must outlive their pass, so each stage has a pass of its own.
  absl::Status PassPerStage(const Batch& batch, std::span<float> logits) {
    std::vector<float> state(static_cast<size_t>(model_.config().hidden_size));
    for (int stage = 0; stage < model_.stages(); ++stage) {
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> loaded, model_.LoadStage(stage, loader_));
      GWQ_ASSIGN_OR_RETURN(const std::unique_ptr<Pass> pass, backend_.Begin(batch, cache_.get()));
      Activation x;
      if (stage > 0) x = pass->Input(state, static_cast<int64_t>(state.size()));
      const Activation out = loaded->Run(*pass, stage - 1, std::move(x));
      GWQ_RETURN_IF_ERROR(pass->Read(out, stage + 1 < model_.stages() ? std::span<float>(state) : logits));
      GWQ_RETURN_IF_ERROR(pass->Finish());
    }
    return absl::OkStatus();
  }

  const Model& model_;
  WeightLoader& loader_;
  Backend& backend_;
  const bool resident_;
  Progress& progress_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<int32_t> blocks_;
  std::unique_ptr<KvCache> cache_;
};

}  // namespace

absl::StatusOr<std::vector<int32_t>> GenerateSample(const Model& model, WeightLoader& loader, Backend& backend,
                                                    int32_t first, int64_t count, const std::vector<int32_t>& excluded,
                                                    bool resident, Progress& progress) {
  return Generator(model, loader, backend, resident, progress).Run(first, count, excluded);
}

}  // namespace gwq
