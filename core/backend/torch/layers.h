// The layers of a decoder on LibTorch tensors, as transformers computes them in single precision. All throw.
#pragma once

#include <ATen/core/Tensor.h>

#include "core/backend/backend.h"
#include "core/backend/torch/tensors.h"

namespace gwq {

// The weight's floats; StatusError where it is null or another backend's.
[[nodiscard]] const at::Tensor& ValuesOf(const Weight* weight);
// x / sqrt(mean(x^2) + epsilon) * weight over the last dimension.
[[nodiscard]] at::Tensor RmsNorm(const at::Tensor& x, const Norm& norm);
// x W^T + b.
[[nodiscard]] at::Tensor Apply(const at::Tensor& x, const Linear& linear);
[[nodiscard]] at::Tensor ApplyGate(const at::Tensor& x, Gate gate);

// Cosine and sine of every row's angles, [rows, 1, head_dim], the attention factor applied.
struct RotaryTables {
  at::Tensor cosine, sine;
};
[[nodiscard]] RotaryTables MakeRotaryTables(const Batch& batch, const Rope& rope);
// x: [rows, heads, head_dim].
[[nodiscard]] at::Tensor Rotate(const at::Tensor& x, const RotaryTables& tables);

// Causal attention of one sequence: queries [rows, heads, head_dim], the last `rows` of the tokens in keys and values
// [tokens, kv_heads, head_dim]. Returns [rows, heads * head_dim].
[[nodiscard]] at::Tensor CausalAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                         float scale);

}  // namespace gwq
