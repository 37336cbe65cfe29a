// A model family, written once against Backend: config.json -> tensors and layers. A model is a row of stages: stage 0
// embeds, stages 1..blocks are the decoder blocks, the last one is norm and head. Stages load and run one by one, so
// that calibration and evaluation hold a block and not a model. A vision-language model has a tower of stages beside
// them, whose output enters the batch as embeddings.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/models/config.h"
#include "core/models/positions.h"
#include "core/models/vision_tower.h"
#include "core/models/weight_loader.h"

namespace gwq {

// The weights of one stage, ready to run. Immutable.
class Stage {
 public:
  virtual ~Stage() = default;
  // `x` is ignored by stage 0. `cache_layer` is used by decoder blocks. Returns [rows, hidden], or logits from the last
  // stage.
  [[nodiscard]] virtual Activation Run(Pass& pass, int cache_layer, Activation x) const = 0;
  using NamedWeight = gwq::NamedWeight;
  [[nodiscard]] virtual const std::vector<NamedWeight>& weights() const = 0;
};

// Immutable and thread-safe.
class Model {
 public:
  virtual ~Model() = default;
  [[nodiscard]] virtual const ModelConfig& config() const = 0;
  // Every tensor the model needs, a tied head left out, by stage: the decoder's first, then the tower's.
  [[nodiscard]] virtual const std::vector<TensorSpec>& tensors() const = 0;
  // Of the decoder.
  [[nodiscard]] int stages() const { return config().blocks + 2; }
  // With the tower's: what TensorSpec::stage is below.
  [[nodiscard]] int all_stages() const { return stages() + (vision() == nullptr ? 0 : vision()->stages()); }
  [[nodiscard]] virtual absl::StatusOr<std::unique_ptr<Stage>> LoadStage(int stage, WeightLoader& loader) const = 0;
  // Null for a text model. Lives as long as the model.
  [[nodiscard]] virtual const VisionTower* vision() const { return nullptr; }
  // Positions of a prompt whose image rows are tokens below zero or config().image_token_id, `images` holding each
  // image's tiles in order. INVALID_ARGUMENT if the number of image rows is not the images'. Source: get_rope_index
  // of transformers' models/qwen2_vl for three axes; with one axis a token's position is its index.
  [[nodiscard]] absl::StatusOr<PromptPositions> PositionsFor(std::span<const int32_t> tokens,
                                                             std::span<const std::vector<PatchGrid>> images) const;
};

// Tells whether the file has a tensor of this name.
using HasTensor = std::function<bool(std::string_view name)>;

// The table of families (core/models/registry.cc) decides by the architecture's name. Files of one family name its
// tensors in several ways, as different versions of transformers wrote them: the model's tensors() take the names that
// `stored` has. Without it they are those of transformers 5.23's save_pretrained.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Model>> CreateModel(const ModelConfig& config,
                                                                 const HasTensor& stored = nullptr);
// For error texts and documentation, sorted.
[[nodiscard]] std::vector<std::string> KnownArchitectures();

// All stages on one backend, those of the tower included. Thread-safe as far as the backend is.
class LoadedModel {
 public:
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LoadedModel>> Load(
      std::shared_ptr<const Model> model, WeightLoader& loader,
      const std::function<absl::Status(int done, int total)>& progress);
  // Runs every stage; logits [output_rows, vocab] land in `logits`, which has exactly that many floats.
  [[nodiscard]] absl::Status Forward(Backend& backend, const Batch& batch, KvCache* cache,
                                     std::span<float> logits) const;
  // Runs `stage`, one stage of a tile, after what the caller has to do first, and returns its error; or an error of its
  // own, which ends the encoding.
  using RunStage = std::function<absl::Status(const std::function<absl::Status()>& stage)>;
  // Embeddings [image tokens, hidden] of one image, whose patches [rows, patch_floats] are those of `tiles` in order;
  // `out` has exactly its floats. Runs tile by tile, so that memory is that of the largest tile's pass, whatever their
  // number, and each stage in a pass of its own, so that other passes may stand between two of them: `run` sees each
  // one; null: they follow each other. FAILED_PRECONDITION for a text model.
  [[nodiscard]] absl::Status EncodeImage(Backend& backend, std::span<const float> patches,
                                         std::span<const PatchGrid> tiles, std::span<float> out,
                                         const RunStage& run = nullptr) const;
  [[nodiscard]] const Model& model() const { return *model_; }
  // Memory of all weights, a tied one counted once.
  [[nodiscard]] uint64_t weight_bytes() const;

 private:
  [[nodiscard]] absl::Status EncodeTile(Backend& backend, std::span<const float> patches, const VisionLayout& layout,
                                        std::span<float> out, const RunStage& run) const;
  explicit LoadedModel(std::shared_ptr<const Model> model) : model_(std::move(model)) {}
  std::shared_ptr<const Model> model_;
  std::vector<std::unique_ptr<Stage>> stages_;
  std::vector<std::unique_ptr<VisionStage>> vision_stages_;
};

}  // namespace gwq
