// The decoder that Llama, Qwen2 and their kin share: embedding, blocks of RMS norm, grouped-query attention with rotary
// positions, RMS norm and gated MLP, then norm and head. Tensors are named as Hugging Face names them.
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "core/models/model.h"

namespace gwq {

// What differs between the families of this kind stands in `config`: biases, tied head, gate, rotary frequencies.
[[nodiscard]] absl::StatusOr<std::unique_ptr<Model>> CreateDecoder(const ModelConfig& config);

}  // namespace gwq
