// config.json of a Hugging Face model directory, read into what the families need. Understands transformers 4 and 5.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"

namespace gwq {

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
};

// INVALID_ARGUMENT naming the field for JSON that is malformed, missing a field, or has a size out of range (all
// dimensions are bounded, so that no product overflows); UNIMPLEMENTED for a known family with an option that is not
// supported (for example an active sliding window), naming it. An unknown architecture is refused with the list of
// known ones.
[[nodiscard]] absl::StatusOr<ModelConfig> ParseModelConfig(std::string_view config_json);

}  // namespace gwq
