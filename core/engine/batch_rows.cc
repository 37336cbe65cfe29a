#include "core/engine/batch_rows.h"

namespace gwq {

void BatchRows::AddImageRow(const Sequence& sequence, int32_t id) {
  const std::span<const float> row = sequence.ImageRow(id, hidden_size_);
  tokens_.push_back(~static_cast<int32_t>(std::ssize(embeddings_) / hidden_size_));
  embeddings_.insert(embeddings_.end(), row.begin(), row.end());
}

int64_t BatchRows::Add(const Sequence& sequence, int64_t rows) {
  const int64_t context = sequence.cached();
  sequences_.push_back({std::ssize(tokens_), rows, context, sequence.blocks().blocks()});
  int64_t outputs = 0;
  for (int64_t i = context; i < context + rows; ++i) {
    if (i >= sequence.first_output()) {
      output_rows_.push_back(static_cast<int32_t>(tokens_.size()));
      ++outputs;
    }
    const int32_t token = sequence.tokens()[static_cast<size_t>(i)];
    if (token < 0) {
      AddImageRow(sequence, token);
    } else {
      tokens_.push_back(token);
    }
    for (size_t axis = 0; axis < axes_.size(); ++axis) {
      axes_[axis].push_back(sequence.PositionAt(static_cast<int>(axis), i));
    }
  }
  return outputs;
}

Batch BatchRows::View() {
  positions_.clear();
  for (const auto& axis : axes_) positions_.insert(positions_.end(), axis.begin(), axis.end());
  Batch batch;
  batch.rows = std::ssize(tokens_);
  batch.tokens = tokens_;
  batch.embeddings = embeddings_;
  batch.position_axes = static_cast<int>(axes_.size());
  batch.positions = positions_;
  batch.sequences = sequences_;
  batch.output_rows = output_rows_;
  return batch;
}

}  // namespace gwq
