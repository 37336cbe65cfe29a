#include "core/engine/batch_rows.h"

namespace gwq {

void BatchRows::Add(std::span<const int32_t> tokens, int64_t context, std::span<const int32_t> blocks, bool output) {
  const auto rows = std::ssize(tokens);
  sequences_.push_back({std::ssize(tokens_), rows, context, blocks});
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  for (int64_t i = 0; i < rows; ++i) positions_.push_back(static_cast<int32_t>(context + i));
  if (output) output_rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
}

Batch BatchRows::View() const {
  Batch batch;
  batch.rows = std::ssize(tokens_);
  batch.tokens = tokens_;
  batch.positions = positions_;
  batch.sequences = sequences_;
  batch.output_rows = output_rows_;
  return batch;
}

}  // namespace gwq
