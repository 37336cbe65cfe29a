// Gathers the rows of one pass: the one place that lays out a batch of sequences.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/backend/batch.h"
#include "core/models/positions.h"

namespace gwq {

// The next rows of one sequence.
struct SequencePart {
  std::span<const int32_t> tokens = {};        // of these rows; an id t < 0 is row ~t of `images`
  int64_t context = 0;                         // rows of the sequence before these; the cache holds them
  std::span<const int32_t> blocks = {};        // of the cache: they cover context and tokens
  std::span<const float> images = {};          // [rows, hidden]
  const PromptPositions* positions = nullptr;  // of the sequence's prompt; null: each row's index, on every axis
};

// Owns everything a Batch points at, except the block tables.
class BatchRows {
 public:
  BatchRows(int position_axes, int64_t hidden_size) : hidden_size_(hidden_size), axes_(position_axes) {}

  // Rows added so far: the number of the next one.
  [[nodiscard]] int64_t rows() const { return static_cast<int64_t>(tokens_.size()); }
  // Appends `part`, whose blocks must outlive the batch.
  void Add(const SequencePart& part);
  // The logits of this row are wanted. Rows increase from call to call.
  void WantLogits(int64_t row) { output_rows_.push_back(static_cast<int32_t>(row)); }
  // Valid until the next call.
  [[nodiscard]] Batch View();

 private:
  const int64_t hidden_size_;
  std::vector<int32_t> tokens_;
  std::vector<float> embeddings_;           // of the rows that are no tokens
  std::vector<std::vector<int32_t>> axes_;  // positions by axis
  std::vector<int32_t> positions_;          // the same in one piece
  std::vector<int32_t> output_rows_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace gwq
