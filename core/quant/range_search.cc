#include "core/quant/range_search.h"

#include <algorithm>
#include <cmath>

#include "core/base/tensor_view.h"
#include "core/format/coded_scales.h"

namespace gwq {
namespace {

constexpr float kLeastRatio = 0.4F;

struct Ends {
  float low = 0.0F;
  float high = 0.0F;
};

Ends EndsOf(std::span<const float> weights) {
  Ends ends;
  for (const float weight : weights) {
    ends.low = std::min(ends.low, weight);
    ends.high = std::max(ends.high, weight);
  }
  return ends;
}

float TopOf(int bits) { return static_cast<float>((1 << bits) - 1); }

GroupRange Scaled(const Ends& ends, int bits, const ScaleForm& form, float ratio) {
  GroupRange range;
  const float low = ends.low * ratio, high = ends.high * ratio;
  range.stored = ScaleOf(low, high, bits, range.saturated);
  range.scale = HalfToFloat(range.stored);
  if (form.bits == 8) {
    range.stored = ScaleCode(range.scale, form.row_scale);
    range.scale = CodedScale(static_cast<uint8_t>(range.stored), form.row_scale);
  }
  range.zero = std::clamp(std::nearbyintf(-low / range.scale), 0.0F, TopOf(bits));
  return range;
}

float ErrorOf(std::span<const float> weights, std::span<const float> importance, const GroupRange& range, float top) {
  float error = 0.0F;
  for (size_t i = 0; i < weights.size(); ++i) {
    const float lost = (CodeOf(weights[i], range, top) - range.zero) * range.scale - weights[i];
    error += lost * lost * importance[i];
  }
  return error;
}

}  // namespace

GroupRange RangeOf(std::span<const float> weights, int bits, float ratio, const ScaleForm& form) {
  return Scaled(EndsOf(weights), bits, form, ratio);
}

GroupRange SearchRange(std::span<const float> weights, std::span<const float> importance, int bits,
                       const ScaleForm& form, int ratios) {
  const Ends ends = EndsOf(weights);
  const float top = TopOf(bits);
  GroupRange best = Scaled(ends, bits, form, 1.0F);
  best.error = ErrorOf(weights, importance, best, top);
  for (int i = 1; i < ratios; ++i) {
    const float ratio = 1.0F - static_cast<float>(i) * (1.0F - kLeastRatio) / static_cast<float>(ratios - 1);
    GroupRange range = Scaled(ends, bits, form, ratio);
    range.error = ErrorOf(weights, importance, range, top);
    if (range.error < best.error) best = range;
  }
  return best;
}

}  // namespace gwq
