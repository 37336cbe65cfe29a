// The layers of a decoder on LibTorch tensors, as transformers computes them in single precision. All throw.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>

#include "core/backend/backend.h"
#include "core/backend/torch/tensors.h"

namespace gwq {

// The weight's floats; StatusError where it is null or another backend's.
[[nodiscard]] const at::Tensor& ValuesOf(const Weight* weight);
// RMS or layer norm over the last dimension.
[[nodiscard]] at::Tensor Normalized(const at::Tensor& x, const Norm& norm);
// x W^T + b.
[[nodiscard]] at::Tensor ApplyLinear(const at::Tensor& x, const Linear& linear);
[[nodiscard]] at::Tensor ApplyGate(const at::Tensor& x, Gate gate);
// Rows of x by number; zeros for -1.
[[nodiscard]] at::Tensor RowsOrZeros(const at::Tensor& x, std::span<const int32_t> rows);

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

// Attention in both directions of one segment: queries [rows, heads, head_dim], keys and values [rows, kv_heads,
// head_dim]. Returns [rows, heads * head_dim].
[[nodiscard]] at::Tensor FullAttention(const at::Tensor& queries, const at::Tensor& keys, const at::Tensor& values,
                                       float scale);
// Tables of given angles, [rows, head_dim / 2] each.
[[nodiscard]] RotaryTables TablesOf(std::span<const float> cosines, std::span<const float> sines, int64_t rows);

}  // namespace gwq
