#include "core/models/vision_language.h"

#include <fmt/format.h>

#include <utility>

#include "core/base/status.h"
#include "core/models/config_fields.h"
#include "core/models/family.h"

namespace gwq {
namespace {

class VisionLanguageModel final : public Model {
 public:
  VisionLanguageModel(const ModelConfig& config, const DecoderNames& decoder, const VitNames& tower)
      : decoder_(MakeDecoder(config, decoder)), tensors_(decoder_->tensors()) {
    tower_ = MakeVit(*config.vision, config.hidden_size, decoder_->stages(), tower, tensors_);
  }

  [[nodiscard]] const ModelConfig& config() const override { return decoder_->config(); }
  [[nodiscard]] const std::vector<TensorSpec>& tensors() const override { return tensors_; }
  [[nodiscard]] const VisionTower* vision() const override { return tower_.get(); }
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Stage>> LoadStage(int stage, WeightLoader& loader) const override {
    return decoder_->LoadStage(stage, loader);
  }

 private:
  const std::unique_ptr<Model> decoder_;
  std::vector<TensorSpec> tensors_;
  std::unique_ptr<VisionTower> tower_;
};

}  // namespace

std::unique_ptr<Model> MakeVisionLanguageModel(const ModelConfig& config, const DecoderNames& decoder,
                                               const VitNames& tower) {
  return std::make_unique<VisionLanguageModel>(config, decoder, tower);
}

std::string StoredStem(std::span<const Naming> namings, const HasTensor& stored) {
  for (const Naming& naming : namings) {
    if (stored && stored(fmt::format("{}{}", naming.stem, naming.probe))) return std::string(naming.stem);
  }
  return std::string(namings.front().stem);
}

void ReadVisionLanguage(ConfigReader& json, std::string_view image_token_field, ModelConfig& config) {
  config.image_token_id = static_cast<int32_t>(json.Int(image_token_field, 0, kMaxTokenId));
  config.tied_head = config.tied_head || json.BoolOr("tie_word_embeddings", false);
}

void ReadInnerLanguageModel(ConfigReader& json, ConfigReader& text, ModelConfig& config) {
  const std::string type = text.StringOr("model_type", "llama");
  if (type == "llama") {
    kLlamaFamily.read_config(json, text, config);
  } else if (type == "qwen2") {
    kQwen2Family.read_config(json, text, config);
  } else {
    text.Unsupported("model_type", fmt::format("a language model '{}' inside is not supported; known are llama and "
                                               "qwen2",
                                               type.substr(0, 40)));
  }
}

}  // namespace gwq
