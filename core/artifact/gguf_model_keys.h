// The metadata of a GGUF file for a model: the way back of gguf_layout.h's GgufConfigJson.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/io/gguf_writer.h"
#include "core/models/config.h"
#include "core/text/gguf_tokenizer.h"

namespace gwq {

// What a model is in GGUF.
struct GgufModelKeys {
  std::string architecture;         // "llama", "qwen2"
  std::vector<float> rope_factors;  // content of the tensor "rope_freqs.weight"; empty: there is none
  // Heads whose rows are stored in pairs (StoredRow of gguf_layout.h), 0 if rows stay in order.
  int64_t query_heads = 0;
  int64_t key_heads = 0;
};

// Adds general.architecture and the keys of the architecture to `out`. `config_json` is what `config` was read from.
// INVALID_ARGUMENT at "format" for a family that GGUF import does not know, and at "config.<key>" for rotary settings
// that the keys cannot say.
[[nodiscard]] absl::StatusOr<GgufModelKeys> AddGgufModelKeys(std::string_view config_json, const ModelConfig& config,
                                                             GgufWriter& out);
// Adds tokenizer.*.
void AddGgufTokenizerKeys(const GgufTokenizer& tokenizer, GgufWriter& out);

}  // namespace gwq
