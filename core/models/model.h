// A model family, written once against Backend: config.json -> tensors and layers. A model is a row of stages: stage 0
// embeds, stages 1..blocks are the decoder blocks, the last one is norm and head. Stages load and run one by one, so
// that calibration and evaluation hold a block and not a model.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/models/config.h"

namespace gwq {

// What a tensor is, from the model's definition and never from its name; recorded in the manifest.
enum class TensorKind { kEmbedding, kNorm, kBias, kLinear, kHead };
enum class ModelPart { kLanguage, kVision, kProjector };
[[nodiscard]] std::string_view TensorKindName(TensorKind kind);
[[nodiscard]] std::string_view ModelPartName(ModelPart part);

struct TensorSpec {
  std::string name;  // as in the Hugging Face file, "model.layers.0.self_attn.q_proj.weight"
  Shape shape;
  TensorKind kind = TensorKind::kLinear;
  ModelPart part = ModelPart::kLanguage;
  int stage = 0;
};

// Gives the weights of a model by name, in a backend's layout. A tensor asked for while an earlier copy is alive is the
// same object, so a tied head costs nothing. Not thread-safe.
class WeightLoader {
 public:
  virtual ~WeightLoader() = default;
  // NOT_FOUND, or INVALID_ARGUMENT where the stored shape is not `spec.shape`.
  [[nodiscard]] virtual absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) = 0;
};

// The weights of one stage, ready to run. Immutable.
class Stage {
 public:
  virtual ~Stage() = default;
  // `x` is ignored by stage 0. `cache_layer` is used by decoder blocks. Returns [rows, hidden], or logits from the last
  // stage.
  [[nodiscard]] virtual Activation Run(Pass& pass, int cache_layer, Activation x) const = 0;
  struct NamedWeight {
    std::string name;
    std::shared_ptr<const Weight> weight;
  };
  [[nodiscard]] virtual const std::vector<NamedWeight>& weights() const = 0;
};

// Immutable and thread-safe.
class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const ModelConfig& config() const = 0;
  // Every tensor the model needs, a tied head left out, by stage.
  [[nodiscard]] virtual const std::vector<TensorSpec>& tensors() const = 0;
  [[nodiscard]] int stages() const { return config().blocks + 2; }
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Stage>> LoadStage(int stage, WeightLoader& loader) const = 0;
};

// The table of families (core/models/registry.cc) decides by the architecture's name.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Model>> CreateModel(const ModelConfig& config);
// For error texts and documentation, sorted.
[[nodiscard]] std::vector<std::string> KnownArchitectures();

// All stages on one backend. Thread-safe as far as the backend is.
class LoadedModel {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LoadedModel>> Load(
      std::shared_ptr<const Model> model, WeightLoader& loader,
      const std::function<absl::Status(int done, int total)>& progress);
  // Runs every stage; logits [output_rows, vocab] land in `logits`, which has exactly that many floats.
  [[nodiscard]] absl::Status Forward(Backend& backend, const Batch& batch, KvCache* cache,
                                     std::span<float> logits) const;
  [[nodiscard]] const Model& model() const { return *model_; }
  // Memory of all weights, a tied one counted once.
  [[nodiscard]] uint64_t weight_bytes() const;

 private:
  LoadedModel(std::shared_ptr<const Model> model, std::vector<std::unique_ptr<Stage>> stages);
  std::shared_ptr<const Model> model_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

}  // namespace gwq
