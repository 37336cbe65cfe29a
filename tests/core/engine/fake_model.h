// A model whose next token is a hash of all tokens or image rows before it and of their positions, read back from a
// cache of blocks: a row that reads or writes a block that is not its own changes what follows.
#pragma once

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "core/backend/batch.h"
#include "core/engine/step_model.h"

namespace gwq {

class FakeModel final : public StepModel {
 public:
  FakeModel(int64_t vocab, int64_t blocks, int64_t block_tokens) : vocab_(vocab) {
    shape_.layers = 1;
    shape_.kv_heads = 1;
    shape_.head_dim = 1;
    shape_.blocks = blocks;
    shape_.block_tokens = block_tokens;
    cache_.assign(static_cast<size_t>(blocks * block_tokens), 0);
  }

  int64_t vocab_size() const override { return vocab_; }
  int64_t hidden_size() const override { return 3; }
  int position_axes() const override { return axes; }
  const KvCacheShape& cache_shape() const override { return shape_; }
  uint64_t cache_bytes() const override { return cache_.size() * sizeof(uint64_t); }

  absl::Status Forward(const Batch& batch, std::span<float> logits) override {
    if (before_pass) before_pass(batch);
    ++passes;
    if (!next_error.ok()) return std::exchange(next_error, absl::OkStatus());
    if (absl::Status status = CheckBatch(batch, shape_); !status.ok()) return status;
    size_t output = 0;
    for (const SequenceRows& rows : batch.sequences) {
      for (int64_t row = rows.first_row; row < rows.first_row + rows.rows; ++row) {
        const int64_t position = rows.context + row - rows.first_row;
        if (positions_are_indices && batch.positions[static_cast<size_t>(row)] != position) {
          return absl::InternalError("a wrong position");
        }
        At(rows, position) = CellOf(batch, row);
        if (output < batch.output_rows.size() && batch.output_rows[output] == row) {
          Fill(HashOf(rows, position),
               logits.subspan(output++ * static_cast<size_t>(vocab_), static_cast<size_t>(vocab_)));
        }
      }
    }
    return absl::OkStatus();
  }

  // Called at the start of each pass, on the engine's thread.
  std::function<void(const Batch&)> before_pass;
  absl::Status next_error;
  std::atomic<int> passes = 0;
  int axes = 1;
  bool positions_are_indices = true;
  // Where set, every logit is this.
  float all_logits = std::numeric_limits<float>::infinity();

 private:
  static uint64_t Mix(uint64_t hash, uint64_t value) { return (hash ^ value) * 1099511628211u; }
  uint64_t CellOf(const Batch& batch, int64_t row) const {
    uint64_t hash = 1469598103934665603u;
    const int32_t token = batch.tokens[static_cast<size_t>(row)];
    if (token >= 0) {
      hash = Mix(hash, static_cast<uint64_t>(token));
    } else {
      for (const float value : batch.embeddings.subspan(static_cast<size_t>(~token * hidden_size()), 3)) {
        hash = Mix(hash, std::bit_cast<uint32_t>(value));
      }
    }
    for (int axis = 0; axis < axes; ++axis) {
      hash = Mix(hash, static_cast<uint64_t>(batch.positions[static_cast<size_t>(axis * batch.rows + row)]));
    }
    return hash;
  }
  uint64_t& At(const SequenceRows& rows, int64_t position) {
    const int32_t block = rows.blocks[static_cast<size_t>(position / shape_.block_tokens)];
    return cache_[static_cast<size_t>(block * shape_.block_tokens + position % shape_.block_tokens)];
  }
  uint64_t HashOf(const SequenceRows& rows, int64_t last) {
    uint64_t hash = 1469598103934665603u;
    for (int64_t i = 0; i <= last; ++i) hash = Mix(hash, At(rows, i));
    return hash;
  }
  void Fill(uint64_t hash, std::span<float> logits) const {
    for (float& logit : logits) {
      hash = hash * 6364136223846793005u + 1442695040888963407u;
      logit = all_logits < std::numeric_limits<float>::infinity() || all_logits != all_logits
                  ? all_logits
                  : static_cast<float>(hash >> 40) * 0x1p-21F;
    }
  }

  const int64_t vocab_;
  KvCacheShape shape_;
  std::vector<uint64_t> cache_;
};

}  // namespace gwq
