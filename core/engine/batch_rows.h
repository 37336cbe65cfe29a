// Gathers the rows of one pass.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/backend/batch.h"

namespace gwq {

// Owns everything a Batch of text rows points at, except the block tables.
class BatchRows {
 public:
  // `tokens` of one sequence after `context` cached ones; `blocks` must outlive the batch. `output`: the logits of the
  // last row are wanted.
  void Add(std::span<const int32_t> tokens, int64_t context, std::span<const int32_t> blocks, bool output);
  // Valid until the next Add.
  [[nodiscard]] Batch View() const;

 private:
  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> output_rows_;
  std::vector<SequenceRows> sequences_;
};

}  // namespace gwq
