#include "core/models/batch_rows.h"

namespace gwq {

void BatchRows::Add(const SequencePart& part) {
  const PromptPositions indices;
  const PromptPositions& positions = part.positions == nullptr ? indices : *part.positions;
  const auto axes = static_cast<int>(axes_.size());
  sequences_.push_back({rows(), std::ssize(part.tokens), part.context, part.blocks});
  int64_t index = part.context;
  for (const int32_t token : part.tokens) {
    if (token < 0) {
      const auto hidden = static_cast<size_t>(hidden_size_);
      const std::span<const float> row = part.images.subspan(static_cast<size_t>(~token) * hidden, hidden);
      tokens_.push_back(~static_cast<int32_t>(std::ssize(embeddings_) / hidden_size_));
      embeddings_.insert(embeddings_.end(), row.begin(), row.end());
    } else {
      tokens_.push_back(token);
    }
    for (int axis = 0; axis < axes; ++axis) axes_[static_cast<size_t>(axis)].push_back(positions.At(axis, axes, index));
    ++index;
  }
}

Batch BatchRows::View() {
  positions_.clear();
  for (const auto& axis : axes_) positions_.insert(positions_.end(), axis.begin(), axis.end());
  Batch batch;
  batch.rows = rows();
  batch.tokens = tokens_;
  batch.embeddings = embeddings_;
  batch.position_axes = static_cast<int>(axes_.size());
  batch.positions = positions_;
  batch.sequences = sequences_;
  batch.output_rows = output_rows_;
  return batch;
}

}  // namespace gwq
