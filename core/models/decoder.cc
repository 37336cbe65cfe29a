#include "core/models/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/status.h"
#include "core/models/weight_list.h"

namespace gwq {
namespace {

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
std::vector<LinearSpec> BlockSpecs(const ModelConfig& config, const DecoderNames& names, int stage) {
  const std::string block = fmt::format("{}layers.{}.", names.stem, stage - 1);
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

TensorSpec EmbeddingSpec(const ModelConfig& config, const DecoderNames& names) {
  return Spec(names.stem + "embed_tokens.weight", {config.vocab_size, config.hidden_size}, TensorKind::kEmbedding, 0);
}

TensorSpec FinalNormSpec(const ModelConfig& config, const DecoderNames& names) {
  return Spec(names.stem + "norm.weight", {config.hidden_size}, TensorKind::kNorm, config.blocks + 1);
}

// Of a tied head the embedding itself.
TensorSpec HeadSpec(const ModelConfig& config, const DecoderNames& names) {
  if (config.tied_head) return EmbeddingSpec(config, names);
  return Spec(names.head, {config.vocab_size, config.hidden_size}, TensorKind::kHead, config.blocks + 1);
}

class EmbeddingStage final : public Stage {
 public:
  [[nodiscard]] absl::Status LoadFrom(const ModelConfig& config, const DecoderNames& names, WeightLoader& loader) {
    GWQ_ASSIGN_OR_RETURN(table_, weights_.Load(EmbeddingSpec(config, names), loader));
    return absl::OkStatus();
  }

  [[nodiscard]] Activation Run(Pass& pass, int /*cache_layer*/, Activation /*x*/) const override {
    return pass.Embed(*table_);
  }
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return weights_.all(); }

 private:
  WeightList weights_;
  const Weight* table_ = nullptr;
};

class BlockStage final : public Stage {
 public:
  BlockStage(const ModelConfig& config, int stage) : config_(config), stage_(stage) {}

  [[nodiscard]] absl::Status LoadFrom(const ModelConfig& /*config*/, const DecoderNames& names, WeightLoader& loader) {
    const std::vector<LinearSpec> specs = BlockSpecs(config_, names, stage_);
    for (size_t i = 0; i < specs.size(); ++i) {
      GWQ_ASSIGN_OR_RETURN(layers_[i].weight, weights_.Load(specs[i].weight, loader));
      if (!specs[i].biased) continue;
      GWQ_ASSIGN_OR_RETURN(layers_[i].bias, weights_.Load(specs[i].bias(), loader));
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
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return weights_.all(); }

 private:
  [[nodiscard]] Norm NormOf(BlockTensor which) const { return {layers_[which].weight, config_.norm_epsilon}; }

  const ModelConfig config_;
  const int stage_;
  WeightList weights_;
  Linear layers_[kBlockTensors];
};

class HeadStage final : public Stage {
 public:
  [[nodiscard]] absl::Status LoadFrom(const ModelConfig& config, const DecoderNames& names, WeightLoader& loader) {
    norm_.epsilon = config.norm_epsilon;
    GWQ_ASSIGN_OR_RETURN(norm_.weight, weights_.Load(FinalNormSpec(config, names), loader));
    GWQ_ASSIGN_OR_RETURN(head_.weight, weights_.Load(HeadSpec(config, names), loader));
    return absl::OkStatus();
  }

  [[nodiscard]] Activation Run(Pass& pass, int /*cache_layer*/, Activation x) const override {
    return pass.Head(x, norm_, head_);
  }
  [[nodiscard]] const std::vector<NamedWeight>& weights() const override { return weights_.all(); }

 private:
  WeightList weights_;
  Norm norm_;
  Linear head_;
};

class Decoder final : public Model {
 public:
  Decoder(const ModelConfig& config, DecoderNames names) : config_(config), names_(std::move(names)) {
    tensors_.push_back(EmbeddingSpec(config_, names_));
    for (int stage = 1; stage <= config_.blocks; ++stage) {
      for (const LinearSpec& layer : BlockSpecs(config_, names_, stage)) {
        tensors_.push_back(layer.weight);
        if (layer.biased) tensors_.push_back(layer.bias());
      }
    }
    tensors_.push_back(FinalNormSpec(config_, names_));
    if (!config_.tied_head) tensors_.push_back(HeadSpec(config_, names_));
  }

  [[nodiscard]] const ModelConfig& config() const override { return config_; }
  [[nodiscard]] const std::vector<TensorSpec>& tensors() const override { return tensors_; }

  [[nodiscard]] absl::StatusOr<std::unique_ptr<Stage>> LoadStage(int stage, WeightLoader& loader) const override {
    if (stage < 0 || stage >= stages()) {
      return absl::OutOfRangeError(fmt::format("stage {} of a model with {} stages", stage, stages()));
    }
    if (stage == 0) return Loaded(std::make_unique<EmbeddingStage>(), loader);
    if (stage == stages() - 1) return Loaded(std::make_unique<HeadStage>(), loader);
    return Loaded(std::make_unique<BlockStage>(config_, stage), loader);
  }

 private:
  template <class S>
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Stage>> Loaded(std::unique_ptr<S> stage, WeightLoader& loader) const {
    GWQ_RETURN_IF_ERROR(stage->LoadFrom(config_, names_, loader));
    return std::unique_ptr<Stage>(std::move(stage));
  }

  const ModelConfig config_;
  const DecoderNames names_;
  std::vector<TensorSpec> tensors_;
};

}  // namespace

std::unique_ptr<Model> MakeDecoder(const ModelConfig& config, DecoderNames names) {
  return std::make_unique<Decoder>(config, std::move(names));
}

absl::StatusOr<std::unique_ptr<Model>> CreateDecoder(const ModelConfig& config, const HasTensor& /*stored*/) {
  return MakeDecoder(config, {});
}

}  // namespace gwq
