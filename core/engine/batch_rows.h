// Gathers the rows of one pass.
#pragma once

#include <cstdint>
#include <vector>

#include "core/backend/batch.h"
#include "core/engine/sequence.h"

namespace gwq {

// Owns everything a Batch points at, except the block tables.
class BatchRows {
 public:
  BatchRows(int position_axes, int64_t hidden_size) : hidden_size_(hidden_size), axes_(position_axes) {}

  // The next `rows` rows of `sequence`, which must outlive the batch. Returns how many of them give logits.
  int64_t Add(const Sequence& sequence, int64_t rows);
  // Valid until the next Add.
  [[nodiscard]] Batch View();

 private:
  void AddImageRow(const Sequence& sequence, int32_t id);

  const int64_t hidden_size_;
  std::vector<int32_t> tokens_;
  std::vector<float> embeddings_;           // of the rows that are no tokens
  std::vector<std::vector<int32_t>> axes_;  // positions by axis
  std::vector<int32_t> positions_;          // the same in one piece
  std::vector<int32_t> output_rows_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace gwq
