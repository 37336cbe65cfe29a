// The kernels of one instruction set. Every output is the same sequence of IEEE operations on all of them, whatever the
// number of rows, threads or chunks:
//   block sum   four partial sums over the columns of a block, column c going to partial c % 4, by FMA in order of
//               columns; then (p0 + p1) + (p2 + p3)
//   total       total = fma(scale, fma(-zero, sum of x over the block, block sum), total), block by block; a scale that
//               is stored as a code is first code * row scale, which is exact
//   outliers    s = fma(value, x[column], s) in order of columns, from 0
//   result      residual + ((total + s) + bias)
#pragma once

#include <cstdint>

#include "core/backend/cpu/kernels/matrix_tiles.h"

namespace gwq {

// Rows that are worked on together: their inputs and totals fit the first-level cache beside an unpacked block. A
// multiple of every kRowBlock.
inline constexpr int64_t kChunkRows = 60;
inline constexpr int64_t kChunkPad = 64;  // a chunk's column, padded

// out[rows, 16 * tile_begin .. 16 * tile_end) of x W^T. Rows of x are padded with zeros to a multiple of kRowPad; rows
// of out hold whole tiles; bias and residual, where given, are padded alike. `residual` may be `out`.
struct MatMulArgs {
  const MatrixTiles* weight = nullptr;
  const float* x = nullptr;
  int64_t x_stride = 0;
  const float* sums = nullptr;  // [rows, blocks] of the weight, by block_sums; unused where dense
  int64_t rows = 0;
  const float* columns = nullptr;  // x by transpose_chunk, a chunk of kChunkRows rows after the other; may be null
  const float* bias = nullptr;
  const float* residual = nullptr;
  int64_t residual_stride = 0;
  float* out = nullptr;
  int64_t out_stride = 0;
  int64_t tile_begin = 0;
  int64_t tile_end = 0;
};

// Attention of one row's query heads that share a key-value head, over `tokens` cached tokens in blocks. `out` may be
// `queries`.
//   keys    of a block: [token groups of 16][head_dim][16 tokens]
//   values  of a block: [block_tokens][value_stride]
struct AttendArgs {
  const float* queries = nullptr;  // [heads, head_dim]
  int64_t heads = 0;
  int64_t head_dim = 0;
  float scale = 0;
  const float* keys = nullptr;  // of block 0 of the layer and head
  const float* values = nullptr;
  int64_t key_block_stride = 0;
  int64_t value_block_stride = 0;
  int64_t value_stride = 0;  // head_dim rounded up to 16
  int64_t block_tokens = 0;
  const int32_t* blocks = nullptr;
  int64_t tokens = 0;
  float* scores = nullptr;  // scratch: min(heads, 4) * AttendScores(tokens, block_tokens)
  float* mixed = nullptr;   // scratch: min(heads, 4) * value_stride
  float* out = nullptr;     // [heads, head_dim]
};

constexpr int64_t AttendScores(int64_t tokens, int64_t block_tokens) {
  return (tokens + block_tokens - 1) / block_tokens * RoundUp(block_tokens, 16);
}

enum class GateKernel : uint8_t { kSilu, kGelu, kGeluTanh, kQuickGelu, kRelu };

struct Kernels {
  void (*matmul)(const MatMulArgs& args);
  // out[col, kChunkPad] = x[row, col] for `rows` <= kChunkRows rows of a padded x; the rest of each column is zero.
  void (*transpose_chunk)(const float* x, int64_t x_stride, int64_t rows, int64_t cols, float* out);
  void (*block_sums)(const MatrixTiles& weight, const float* x, float* sums);
  // out = x / rms(x) * weight over `width` of a padded row; the padding of out becomes zero.
  void (*rms_norm)(const float* x, const float* weight, int64_t width, float epsilon, float* out);
  // out[i] = gate(g[i]) * u[i] for n padded to a multiple of 16; gate(g[i]) where u is null. `out` may be g or u.
  void (*gate)(GateKernel kind, const float* g, const float* u, int64_t n, float* out);
  void (*attend)(const AttendArgs& args);
  // out = (x - mean(x)) / sqrt(variance(x) + epsilon) * weight + bias, as rms_norm otherwise. `out` is not x.
  void (*layer_norm)(const float* x, const float* weight, const float* bias, int64_t width, float epsilon, float* out);
};

[[nodiscard]] const Kernels& ScalarKernels();
[[nodiscard]] const Kernels& Avx2Kernels();
[[nodiscard]] const Kernels& Avx512Kernels();

}  // namespace gwq
