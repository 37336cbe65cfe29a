// Qwen2 and Qwen2.5: Llama's block with biases on q, k and v. Source: transformers 5.23, models/qwen2.
#include <fmt/format.h>

#include <algorithm>

#include "core/models/decoder.h"
#include "core/models/family.h"

namespace gwq {
namespace {

constexpr int64_t kMaxWindow = int64_t{1} << 40;

// Version 5 lists the kind of each layer; version 4 turns the window on from block max_window_layers upwards.
bool SlidingWindowActive(ConfigReader& text, const ModelConfig& config) {
  const std::vector<std::string> layers = text.Strings("layer_types");
  if (!layers.empty()) return std::ranges::any_of(layers, [](const auto& type) { return type != "full_attention"; });
  return text.BoolOr("use_sliding_window", false) && text.IntOr("sliding_window", 4096, 0, kMaxWindow) > 0 &&
         text.IntOr("max_window_layers", 28, 0, kMaxWindow) < config.blocks;
}

void ReadQwen2(ConfigReader& /*json*/, ConfigReader& text, ModelConfig& config) {
  config.attention_bias = true;
  if (SlidingWindowActive(text, config)) {
    text.Unsupported("use_sliding_window", "the model attends over a sliding window, which is not supported");
  }
}

}  // namespace

const Family kQwen2Family = {"Qwen2ForCausalLM", ReadQwen2, CreateDecoder};

}  // namespace gwq
