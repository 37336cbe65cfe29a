#include "core/models/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"

namespace gwq {
namespace {

constexpr std::string_view kEmbedding = "model.embed_tokens.weight";
constexpr std::string_view kFinalNorm = "model.norm.weight";
constexpr std::string_view kHead = "lm_head.weight";

// The tensors of one block, in the order of the computation; also the order in which they load.
enum BlockTensor { kInputNorm, kQ, kK, kV, kO, kPostNorm, kGate, kUp, kDown, kBlockTensors };

TensorSpec Spec(std::string name, Shape shape, TensorKind kind, int stage) {
  return {std::move(name), std::move(shape), kind, ModelPart::kLanguage, stage};
}

struct LinearSpec {
  TensorSpec weight;
  bool biased = false;
  [[nodiscard]] TensorSpec bias() const {
    const std::string stem = weight.name.substr(0, weight.name.size() - std::string_view("weight").size());
    return Spec(stem + "bias", {weight.shape[0]}, TensorKind::kBias, weight.stage);
  }
};

// Norms have one dimension and no bias, the others are linear layers.
std::vector<LinearSpec> BlockSpecs(const ModelConfig& config, int stage) {
  const std::string block = fmt::format("model.layers.{}.", stage - 1);
  const int64_t hidden = config.hidden_size;
  const int64_t queries = config.attention.heads * config.attention.head_dim;
  const int64_t keys = config.attention.kv_heads * config.attention.head_dim;
  const auto norm = [&](std::string_view name) {
    return LinearSpec{Spec(fmt::format("{}{}.weight", block, name), {hidden}, TensorKind::kNorm, stage)};
  };
  const auto linear = [&](std::string_view name, int64_t out, int64_t in, bool biased) {
    return LinearSpec{Spec(fmt::format("{}{}.weight", block, name), {out, in}, TensorKind::kLinear, stage), biased};
  };
  return {norm("input_layernorm"),
          linear("self_attn.q_proj", queries, hidden, config.attention_bias),
          linear("self_attn.k_proj", keys, hidden, config.attention_bias),
          linear("self_attn.v_proj", keys, hidden, config.attention_bias),
          linear("self_attn.o_proj", hidden, queries, config.output_bias),
          norm("post_attention_layernorm"),
          linear("mlp.gate_proj", config.intermediate_size, hidden, config.mlp_bias),
          linear("mlp.up_proj", config.intermediate_size, hidden, config.mlp_bias),
          linear("mlp.down_proj", hidden, config.intermediate_size, config.mlp_bias)};
}

TensorSpec EmbeddingSpec(const ModelConfig& config) {
  return Spec(std::string(kEmbedding), {config.vocab_size, config.hidden_size}, TensorKind::kEmbedding, 0);
}

TensorSpec FinalNormSpec(const ModelConfig& config) {
  return Spec(std::string(kFinalNorm), {config.hidden_size}, TensorKind::kNorm, config.blocks + 1);
}

// Of a tied head the embedding itself.
TensorSpec HeadSpec(const ModelConfig& config) {
  if (config.tied_head) return EmbeddingSpec(config);
  return Spec(std::string(kHead), {config.vocab_size, config.hidden_size}, TensorKind::kHead, config.blocks + 1);
}

class DecoderStage : public Stage {
 public:
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return weights_; }

 protected:
  [[nodiscard]] absl::StatusOr<const Weight*> Load(const TensorSpec& spec, WeightLoader& loader) {
    GWQ_ASSIGN_OR_RETURN(std::shared_ptr<const Weight> weight, loader.Load(spec));
    weights_.push_back({spec.name, weight});
    return weight.get();
  }

 private:
  std::vector<NamedWeight> weights_;
};

class EmbeddingStage final : public DecoderStage {
 public:
  [[nodiscard]] absl::Status LoadFrom(const ModelConfig& config, WeightLoader& loader) {
    GWQ_ASSIGN_OR_RETURN(table_, Load(EmbeddingSpec(config), loader));
    return absl::OkStatus();
  }

  [[nodiscard]] Activation Run(Pass& pass, int /*cache_layer*/, Activation /*x*/) const override {
    return pass.Embed(*table_);
  }

 private:
  const Weight* table_ = nullptr;
};

class BlockStage final : public DecoderStage {
 public:
  explicit BlockStage(const ModelConfig& config) : config_(config) {}

  [[nodiscard]] absl::Status LoadFrom(int stage, WeightLoader& loader) {
    const std::vector<LinearSpec> specs = BlockSpecs(config_, stage);
    for (size_t i = 0; i < specs.size(); ++i) {
      GWQ_ASSIGN_OR_RETURN(layers_[i].weight, Load(specs[i].weight, loader));
      if (!specs[i].biased) continue;
      GWQ_ASSIGN_OR_RETURN(layers_[i].bias, Load(specs[i].bias(), loader));
    }
    return absl::OkStatus();
  }

  [[nodiscard]] Activation Run(Pass& pass, int cache_layer, Activation x) const override {
    const Activation queries = pass.Queries(cache_layer, x, NormOf(kInputNorm), layers_[kQ], layers_[kK], layers_[kV],
                                            config_.rope, config_.attention);
    const Activation attended = pass.Attend(cache_layer, queries, config_.attention);
    x = pass.AddLinear(std::move(x), attended, layers_[kO]);
    const Activation gated = pass.GatedUp(x, NormOf(kPostNorm), layers_[kGate], layers_[kUp], config_.gate);
    return pass.AddLinear(std::move(x), gated, layers_[kDown]);
  }

 private:
  [[nodiscard]] Norm NormOf(BlockTensor which) const { return {layers_[which].weight, config_.norm_epsilon}; }

  const ModelConfig config_;
  Linear layers_[kBlockTensors];
};

class HeadStage final : public DecoderStage {
 public:
  [[nodiscard]] absl::Status LoadFrom(const ModelConfig& config, WeightLoader& loader) {
    norm_.epsilon = config.norm_epsilon;
    GWQ_ASSIGN_OR_RETURN(norm_.weight, Load(FinalNormSpec(config), loader));
    GWQ_ASSIGN_OR_RETURN(head_.weight, Load(HeadSpec(config), loader));
    return absl::OkStatus();
  }

  [[nodiscard]] Activation Run(Pass& pass, int /*cache_layer*/, Activation x) const override {
    return pass.Head(x, norm_, head_);
  }

 private:
  Norm norm_;
  Linear head_;
};

class Decoder final : public Model {
 public:
  explicit Decoder(const ModelConfig& config) : config_(config) {
    tensors_.push_back(EmbeddingSpec(config_));
    for (int stage = 1; stage <= config_.blocks; ++stage) {
      for (const LinearSpec& layer : BlockSpecs(config_, stage)) {
        tensors_.push_back(layer.weight);
        if (layer.biased) tensors_.push_back(layer.bias());
      }
    }
    tensors_.push_back(FinalNormSpec(config_));
    if (!config_.tied_head) tensors_.push_back(HeadSpec(config_));
  }

  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] const std::vector<TensorSpec>& tensors() const override { return tensors_; }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<Stage>> LoadStage(int stage, WeightLoader& loader) const override {
    if (stage < 0 || stage >= stages()) {
      return absl::OutOfRangeError(fmt::format("stage {} of a model with {} stages", stage, stages()));
    }
    if (stage == 0) return Loaded(std::make_unique<EmbeddingStage>(), config_, loader);
    if (stage == stages() - 1) return Loaded(std::make_unique<HeadStage>(), config_, loader);
    return Loaded(std::make_unique<BlockStage>(config_), stage, loader);
  }

 private:
  template <class S, class What>
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Stage>> Loaded(std::unique_ptr<S> stage, const What& what,
                                                                     WeightLoader& loader) {
    GWQ_RETURN_IF_ERROR(stage->LoadFrom(what, loader));
    return std::unique_ptr<Stage>(std::move(stage));
  }

  const ModelConfig config_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Model>> CreateDecoder(const ModelConfig& config) {
  return std::unique_ptr<Model>(std::make_unique<Decoder>(config));
}

}  // namespace gwq
