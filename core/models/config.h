// config.json of a Hugging Face model directory, read into what the families need. Understands transformers 4 and 5.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"

namespace gwq {

// The vision tower: patches -> linear -> pre-norm blocks with attention in both directions -> merger or projector.
struct VisionConfig {
  std::vector<int64_t> patch_shape;  // of one patch's floats: channels, frames where there are any, height, width
  int64_t patch_floats = 0;          // their product
  bool patch_bias = false;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int blocks = 0;  // that run; a LLaVA tower stops before its last one
  AttentionShape attention;
  NormKind norm = NormKind::kLayer;
  float norm_epsilon = 1e-6F;
  Gate activation = Gate::kGelu;
  bool gated = false;  // the MLP has a gate, and its up projection no activation
  int64_t merge = 1;   // merge x merge patches become one image token
  // Learned positions: a square of this many patches a side, patches come row by row. 0: rotary positions over height
  // and width, patches come one merge x merge square after the other.
  int64_t position_side = 0;
  bool resampled_positions = false;  // a tile of fewer patches spreads over the whole square; else tiles fill it
  bool class_token = false;          // a row before the patches of a tile, dropped after the blocks
  float rope_theta = 10000.0F;
  // Window attention: a window is a square of this many image tokens per side (0: none), except in these blocks.
  int64_t window_tokens = 0;
  std::vector<int> full_attention_blocks;
  // The projector: one linear layer, or two with this width and activation between them.
  int64_t projector_width = 0;
  std::optional<Gate> projector_activation;
  bool projector_bias = true;
};

struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM", ...
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int blocks = 0;
  AttentionShape attention;
  float norm_epsilon = 1e-5F;
  Gate gate = Gate::kSilu;
  bool tied_head = false;
  bool attention_bias = false;  // q, k and v carry biases
  bool output_bias = false;     // o_proj carries one
  bool mlp_bias = false;
  int64_t max_positions = 0;
  Rope rope;  // scaling (linear, llama3, yarn, ...) applied; source: transformers modeling_rope_utils
  std::vector<int32_t> eos_token_ids;
  int32_t bos_token_id = -1;
  // Axes of Batch::positions: 3 (time, height, width) for M-RoPE, 1 otherwise. Text has the same position on each.
  int position_axes = 1;
  std::optional<VisionConfig> vision;  // of a vision-language model
  int32_t image_token_id = -1;         // stands for one image row in a prompt; -1 if none
};

// INVALID_ARGUMENT naming the field for JSON that is malformed, missing a field, or has a size out of range (all
// dimensions are bounded, so that no product overflows); UNIMPLEMENTED for a known family with an option that is not
// supported (for example an active sliding window), naming it. An unknown architecture is refused with the list of
// known ones.
[[nodiscard]] absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view config_json);

}  // namespace gwq
