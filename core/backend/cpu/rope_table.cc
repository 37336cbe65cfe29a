#include "core/backend/cpu/rope_table.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

#include "core/base/status.h"

namespace gwq {
namespace {

// The position axis of each frequency.
absl::StatusOr<std::vector<int>> AxesOf(const Rope& rope, const Batch& batch) {
  const size_t half = rope.inverse_frequencies.size();
  if (rope.sections.empty() || (batch.position_axes == 1 && batch.embeddings.empty())) return std::vector<int>(half, 0);
  if (rope.sections.size() > static_cast<size_t>(batch.position_axes) ||
      std::accumulate(rope.sections.begin(), rope.sections.end(), int64_t{0}) != static_cast<int64_t>(half)) {
    return InvalidField("rope.sections", fmt::format("{} sections do not cover {} frequencies on {} position axes",
                                                     rope.sections.size(), half, batch.position_axes));
  }
  std::vector<int> axes;
  for (size_t axis = 0; axis < rope.sections.size(); ++axis) {
    if (rope.sections[axis] < 0) return InvalidField("rope.sections", "a section is negative");
    axes.insert(axes.end(), static_cast<size_t>(rope.sections[axis]), static_cast<int>(axis));
  }
  return axes;
}

bool SameRope(const Rope& a, const Rope& b) {
  return a.inverse_frequencies == b.inverse_frequencies && a.attention_factor == b.attention_factor &&
         a.sections == b.sections;
}

}  // namespace

absl::Status RopeTable::Prepare(const Rope& rope, const Batch& batch) {
  if (half_ != 0 && SameRope(rope, rope_)) return absl::OkStatus();
  GWQ_ASSIGN_OR_RETURN(const std::vector<int> axes, AxesOf(rope, batch));
  rope_ = rope;
  half_ = static_cast<int64_t>(axes.size());
  cosines_.resize(static_cast<size_t>(batch.rows * half_));
  sines_.resize(cosines_.size());
  size_t at = 0;
  for (int64_t row = 0; row < batch.rows; ++row) {
    for (size_t i = 0; i < axes.size(); ++i, ++at) {
      const int32_t position = batch.positions[static_cast<size_t>(axes[i] * batch.rows + row)];
      const float angle = static_cast<float>(position) * rope.inverse_frequencies[i];
      cosines_[at] = std::cos(angle) * rope.attention_factor;
      sines_[at] = std::sin(angle) * rope.attention_factor;
    }
  }
  return absl::OkStatus();
}

void RopeTable::Rotate(int64_t row, float* head) const {
  const float* cosines = cosines_.data() + row * half_;
  const float* sines = sines_.data() + row * half_;
  for (int64_t i = 0; i < half_; ++i) {
    const float a = head[i];
    const float b = head[i + half_];
    head[i] = a * cosines[i] - b * sines[i];
    head[i + half_] = b * cosines[i] + a * sines[i];
  }
}

}  // namespace gwq
