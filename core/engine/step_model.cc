#include "core/engine/step_model.h"

#include <utility>

#include "core/base/status.h"
#include "core/models/cache_shape.h"

namespace gwq {
namespace {

class BackendModel final : public StepModel {
 public:
  BackendModel(std::shared_ptr<const LoadedModel> model, Backend& backend, FifoLock& fifo_lock,
               std::unique_ptr<KvCache> cache)
      : model_(std::move(model)), backend_(backend), fifo_lock_(fifo_lock), cache_(std::move(cache)) {}

  int64_t vocab_size() const override { return model_->model().config().vocab_size; }
  int64_t hidden_size() const override { return model_->model().config().hidden_size; }
  int position_axes() const override { return model_->model().config().position_axes; }
  const KvCacheShape& cache_shape() const override { return cache_->shape(); }
  uint64_t cache_bytes() const override { return cache_->bytes(); }

  absl::Status Forward(const Batch& batch, std::span<float> logits) override {
    const FifoLock::Guard turn(fifo_lock_);
    return model_->Forward(backend_, batch, cache_.get(), logits);
  }

 private:
  const std::shared_ptr<const LoadedModel> model_;
  Backend& backend_;
  FifoLock& fifo_lock_;
  const std::unique_ptr<KvCache> cache_;
};

}  // namespace

RequestLimits LimitsOf(const StepModel& model) {
  RequestLimits limits;
  limits.vocab_size = model.vocab_size();
  limits.hidden_size = model.hidden_size();
  limits.position_axes = model.position_axes();
  limits.max_context_tokens = model.cache_shape().blocks * model.cache_shape().block_tokens;
  limits.max_prompt_tokens = limits.max_context_tokens - 1;
  return limits;
}

absl::StatusOr<std::unique_ptr<StepModel>> MakeStepModel(std::shared_ptr<const LoadedModel> model, Backend& backend,
                                                         FifoLock& fifo_lock, int64_t cache_tokens) {
  const ModelConfig& config = model->model().config();
  GWQ_ASSIGN_OR_RETURN(auto cache,
                       backend.CreateKvCache(CacheShapeFor(config, config.blocks, CacheBlocksFor(cache_tokens))));
  return std::make_unique<BackendModel>(std::move(model), backend, fifo_lock, std::move(cache));
}

}  // namespace gwq
