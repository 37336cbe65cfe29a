// What one forward pass works on. Text, image rows, chunked prefill and continuous batching are all this one
// description.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace gwq {

// The consecutive rows of one sequence in a batch.
struct SequenceRows {
  int64_t first_row = 0;
  int64_t rows = 0;
  int64_t context = 0;              // tokens of the sequence that the KV cache holds already
  std::span<const int32_t> blocks;  // its block table: covers context + rows tokens
};

// Row-major, rows = tokens of all sequences. All spans belong to the caller and outlive the pass.
struct Batch {
  int64_t rows = 0;
  // [rows]; a token t < 0 stands for row ~t of `embeddings`, so that image rows mix with text. Empty if `embeddings`
  // holds every row.
  std::span<const int32_t> tokens;
  std::span<const float> embeddings;        // [any number, hidden], with empty tokens [rows, hidden]
  int position_axes = 1;                    // 3 for M-RoPE (time, height, width); 1 for text, M-RoPE too
  std::span<const int32_t> positions;       // [position_axes, rows]; a rotary position, not a cache index
  std::span<const SequenceRows> sequences;  // cover all rows in order
  std::span<const int32_t> output_rows;     // rows whose logits are wanted, increasing
};

// Rows that are no tokens, for a pass of a vision tower: only `rows` is set, and the operations that want tokens,
// positions or sequences fail.
[[nodiscard]] inline Batch BatchOfRows(int64_t rows) {
  Batch batch;
  batch.rows = rows;
  return batch;
}

struct KvCacheShape {
  int layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t block_tokens = 16;
  int64_t blocks = 0;
  friend bool operator==(const KvCacheShape&, const KvCacheShape&) = default;
};

// INVALID_ARGUMENT naming the field if sizes disagree, a block or output row is out of range, or rows are not
// covered. A cache of no layers stands for none: block tables are not looked at and every context is 0.
[[nodiscard]] absl::Status CheckBatch(const Batch& batch, const KvCacheShape& cache);

// For Pass::Embed with a table [vocabulary, hidden] and tokens. INVALID_ARGUMENT naming the token that is outside the
// vocabulary or, below zero, outside the embeddings.
[[nodiscard]] absl::Status CheckTokens(const Batch& batch, int64_t vocabulary, int64_t hidden);

}  // namespace gwq
