// The files of a tiny random Llama or Qwen2, as a Hugging Face directory or a GGUF file, made here so that a test can
// bend each part.
#pragma once

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "core/io/safetensors.h"
#include "core/models/model.h"
#include "tests/support/gguf_builder.h"

namespace gwq::testing {

inline constexpr int64_t kTinyVocab = 24;

inline nlohmann::json TinyConfig(const std::string& architecture = "LlamaForCausalLM") {
  return {{"architectures", {architecture}}, {"vocab_size", kTinyVocab},    {"hidden_size", 32},
          {"intermediate_size", 64},         {"num_hidden_layers", 2},      {"num_attention_heads", 4},
          {"num_key_value_heads", 2},        {"rms_norm_eps", 1e-5},        {"rope_theta", 10000.0},
          {"max_position_embeddings", 64},   {"tie_word_embeddings", true}, {"hidden_act", "silu"}};
}

inline std::string TinyTokenizer() {
  nlohmann::json vocab;
  for (int i = 0; i < kTinyVocab; ++i) vocab[std::string(1, static_cast<char>('a' + i))] = i;
  return nlohmann::json{{"version", "1.0"},
                        {"truncation", nullptr},
                        {"padding", nullptr},
                        {"added_tokens", nlohmann::json::array()},
                        {"normalizer", nullptr},
                        {"pre_tokenizer", nullptr},
                        {"post_processor", nullptr},
                        {"decoder", nullptr},
                        {"model",
                         {{"type", "BPE"},
                          {"dropout", nullptr},
                          {"unk_token", nullptr},
                          {"continuing_subword_prefix", nullptr},
                          {"end_of_word_suffix", nullptr},
                          {"fuse_unk", false},
                          {"byte_fallback", false},
                          {"vocab", vocab},
                          {"merges", nlohmann::json::array()}}}}
      .dump();
}

struct TinyTensor {
  Shape shape;
  DType dtype = DType::kF32;
  std::string bytes;
};
using TinyTensors = std::map<std::string, TinyTensor>;

inline TinyTensor RandomTensor(const Shape& shape, DType dtype, std::mt19937& random) {
  TinyTensor tensor{shape, dtype, {}};
  std::normal_distribution<float> normal(0.0F, 0.05F);
  for (int64_t i = 0; i < ElementCount(shape).value(); ++i) {
    const float value = normal(random);
    if (dtype == DType::kF32) {
      tensor.bytes.append(reinterpret_cast<const char*>(&value), 4);
    } else {
      uint32_t bits = 0;
      std::memcpy(&bits, &value, 4);
      const auto half = dtype == DType::kF16 ? FloatToHalf(value) : static_cast<uint16_t>(bits >> 16);
      tensor.bytes.append(reinterpret_cast<const char*>(&half), 2);
    }
  }
  return tensor;
}

// Every tensor of the family with this configuration.
inline TinyTensors TinyWeights(const nlohmann::json& config, DType dtype = DType::kF32, unsigned seed = 7) {
  std::mt19937 random(seed);
  TinyTensors tensors;
  const auto model = CreateModel(ParseModelConfig(config.dump()).value()).value();
  for (const TensorSpec& spec : model->tensors()) tensors[spec.name] = RandomTensor(spec.shape, dtype, random);
  return tensors;
}

inline std::string SafetensorsFile(const TinyTensors& tensors) {
  std::vector<SafetensorsTensor> described;
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    described.push_back({name, tensor.dtype, tensor.shape, data.size(), tensor.bytes.size()});
    data += tensor.bytes;
  }
  return WriteSafetensorsHeader(described, {{"format", "pt"}}) + data;
}

// Metadata of a tiny model that a GGUF import takes, `architecture` "llama" or "qwen2".
inline void AddTinyMetadata(GgufBuilder& builder, const std::string& architecture = "llama", float theta = 10000.0F) {
  builder.Text("general.architecture", architecture);
  builder.U32(architecture + ".block_count", 2);
  builder.U32(architecture + ".context_length", 64);
  builder.U32(architecture + ".embedding_length", 32);
  builder.U32(architecture + ".feed_forward_length", 64);
  builder.U32(architecture + ".attention.head_count", 4);
  builder.U32(architecture + ".attention.head_count_kv", 2);
  builder.F32(architecture + ".attention.layer_norm_rms_epsilon", 1e-5F);
  builder.F32(architecture + ".rope.freq_base", theta);
}

inline void AddTinyTokenizer(GgufBuilder& builder) {
  builder.Text("tokenizer.ggml.model", "gpt2");
  builder.Text("tokenizer.ggml.pre", "smollm");
  std::vector<std::string> tokens;
  for (int i = 0; i < kTinyVocab; ++i) tokens.push_back(std::string(1, static_cast<char>('a' + i)));
  builder.Texts("tokenizer.ggml.tokens", tokens);
  builder.Ints("tokenizer.ggml.token_type", std::vector<int32_t>(kTinyVocab, 1));
  builder.Texts("tokenizer.ggml.merges", {});
  builder.U32("tokenizer.ggml.eos_token_id", 1);
}

}  // namespace gwq::testing
