// The decoder that Llama, Qwen2 and their kin share: embedding, blocks of RMS norm, grouped-query attention with rotary
// positions, RMS norm and gated MLP, then norm and head. Tensors are named as Hugging Face names them.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/models/model.h"

namespace gwq {

// What differs between the families of this kind stands in `config`: biases, tied head, gate, rotary frequencies.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Model>> CreateDecoder(const ModelConfig& config, const HasTensor& stored);

// How a file names a decoder inside a larger model.
struct DecoderNames {
  std::string stem = "model.";  // before "embed_tokens.weight", "layers.0...", "norm.weight"
  std::string head = "lm_head.weight";
};
[[nodiscard]] std::unique_ptr<Model> MakeDecoder(const ModelConfig& config, DecoderNames names);

}  // namespace gwq
