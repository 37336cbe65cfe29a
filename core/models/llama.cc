// Llama 1 to 3 and what follows their layout (TinyLlama, SmolLM2). Source: transformers 5.23, models/llama.
#include "core/models/decoder.h"
#include "core/models/family.h"

namespace gwq {
namespace {

void ReadLlama(ConfigReader& /*json*/, ConfigReader& text, ModelConfig& config) {
  config.attention_bias = text.BoolOr("attention_bias", false);
  config.output_bias = config.attention_bias;
  config.mlp_bias = text.BoolOr("mlp_bias", false);
}

}  // namespace

const Family kLlamaFamily = {"LlamaForCausalLM", ReadLlama, CreateDecoder};

}  // namespace gwq
