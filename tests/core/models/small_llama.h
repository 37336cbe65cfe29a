// The config.json that transformers 4 wrote for a small Llama.
#pragma once

#include <nlohmann/json.hpp>

namespace gwq::testing {

inline nlohmann::json SmallLlama() {
  return nlohmann::json::parse(R"({
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 1000, "hidden_size": 64,
    "intermediate_size": 160, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 2048, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "rope_scaling": null,
    "hidden_act": "silu", "tie_word_embeddings": false, "attention_bias": false, "mlp_bias": false,
    "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float16"})");
}

}  // namespace gwq::testing
