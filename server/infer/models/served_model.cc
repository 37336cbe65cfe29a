#include "server/infer/models/served_model.h"

#include <utility>

namespace gwq {

ServedModel::ServedModel(ServedModelInfo info, std::unique_ptr<const ModelText> text,
                         std::unique_ptr<ServedVision> vision, std::unique_ptr<EngineMetrics> observer,
                         std::unique_ptr<StepModel> model, const EngineOptions& options, const Clock& clock)
    : info_(std::move(info)),
      text_(std::move(text)),
      vision_(std::move(vision)),
      prompts_(vision_ == nullptr ? PromptBuilder(*text_)
                                  : PromptBuilder(*text_, vision_->model(), vision_->processor())),
      observer_(std::move(observer)),
      engine_(std::move(model), options, clock, observer_.get()) {}

v1::LoadedModel ServedModel::Describe() const {
  const SchedulerStats stats = engine_.stats();
  v1::LoadedModel out;
  out.set_name(info_.name);
  out.set_digest(info_.digest);
  out.set_architecture(info_.architecture);
  out.set_weight_bytes(info_.weight_bytes);
  out.set_cache_bytes(engine_.cache_bytes());
  out.set_cache_tokens(engine_.cache_tokens());
  out.set_max_context_tokens(engine_.limits().max_context_tokens);
  out.set_running_requests(stats.running);
  out.set_queued_requests(stats.queued + stats.paused);
  out.set_kernels(info_.kernels);
  out.set_takes_images(vision_ != nullptr);
  return out;
}

}  // namespace gwq
