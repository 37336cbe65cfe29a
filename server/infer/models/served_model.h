// A loaded model that answers requests: weights, text and engine.
#pragma once

#include <memory>
#include <string>

#include "core/engine/engine.h"
#include "core/models/model.h"
#include "core/prompt/prompt_builder.h"
#include "core/text/model_text.h"
#include "gwq/v1/inference.pb.h"
#include "server/infer/engine_metrics.h"
#include "server/infer/models/served_vision.h"

namespace gwq {

struct ServedModelInfo {
  std::string name;  // resource name
  std::string digest;
  std::string architecture;
  uint64_t weight_bytes = 0;
  std::string kernels;
};

// Thread-safe. Must not be destroyed on its engine's thread, so code that answers a request keeps the request's handle
// and not the model.
class ServedModel {
 public:
  // `vision` is null for a text model.
  ServedModel(ServedModelInfo info, std::unique_ptr<const ModelText> text, std::unique_ptr<ServedVision> vision,
              std::unique_ptr<EngineMetrics> observer, std::unique_ptr<StepModel> model, const EngineOptions& options,
              const Clock& clock);

  [[nodiscard]] const std::string& name() const { return info_.name; }
  [[nodiscard]] const std::string& digest() const { return info_.digest; }
  // Memory of weights and cache.
  [[nodiscard]] uint64_t memory_bytes() const { return info_.weight_bytes + engine_.cache_bytes(); }
  [[nodiscard]] const ModelText& text() const { return *text_; }
  [[nodiscard]] const PromptBuilder& prompts() const { return prompts_; }
  // Null for a text model.
  [[nodiscard]] ServedVision* vision() const { return vision_.get(); }
  [[nodiscard]] Engine& engine() { return engine_; }
  [[nodiscard]] const Engine& engine() const { return engine_; }
  // The entry of ListLoadedModels, with the engine's current load.
  [[nodiscard]] v1::LoadedModel Describe() const;

 private:
  const ServedModelInfo info_;
  const std::unique_ptr<const ModelText> text_;
  const std::unique_ptr<ServedVision> vision_;
  const PromptBuilder prompts_;
  const std::unique_ptr<EngineMetrics> observer_;
  Engine engine_;
};

}  // namespace gwq
