#include "core/quant/outliers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "core/base/draw.h"
#include "core/base/sha256.h"

namespace gwq {

int64_t OutlierCount(double ratio, int64_t n) { return static_cast<int64_t>(ratio * static_cast<double>(n)); }

absl::StatusOr<std::vector<int64_t>> LargestScores(std::span<const float> scores, int64_t count,
                                                   std::string_view tensor) {
  std::vector<float> sorted(scores.size());
  for (size_t i = 0; i < scores.size(); ++i) {
    if (!std::isfinite(scores[i])) {
      return absl::FailedPreconditionError(fmt::format(
          "the score of a weight of {} is {} at position {}: the weight or what is known of it is out of range; keep "
          "this module with a rule, or use method rtn",
          tensor, scores[i], i));
    }
    sorted[i] = std::fabs(scores[i]);
  }
  std::vector<int64_t> picked;
  if (count <= 0) return picked;
  std::nth_element(sorted.begin(), sorted.begin() + (count - 1), sorted.end(), std::greater<>());
  const float threshold = sorted[static_cast<size_t>(count - 1)];
  // Everything before the threshold's place is at least as large; those equal to it fill what is left, in order.
  int64_t equal = count - std::count_if(sorted.begin(), sorted.begin() + count, [&](float s) { return s > threshold; });
  picked.reserve(static_cast<size_t>(count));
  for (size_t i = 0; i < scores.size(); ++i) {
    const float score = std::fabs(scores[i]);
    if (score > threshold || (score == threshold && equal-- > 0)) picked.push_back(static_cast<int64_t>(i));
  }
  return picked;
}

void RandomScores(uint64_t seed, std::string_view tensor, std::span<float> scores) {
  const Digest name = Sha256Of(tensor);
  uint64_t state = seed;
  for (int i = 0; i < 8; ++i) state ^= std::to_integer<uint64_t>(name.bytes[static_cast<size_t>(i)]) << (8 * i);
  for (size_t i = 0; i < scores.size(); ++i) scores[i] = static_cast<float>(Draw(state, i) >> 40) * 0x1p-24F;
}

}  // namespace gwq
