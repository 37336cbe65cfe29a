#include "core/io/gguf_fit.h"

#include <algorithm>
#include <cmath>

namespace gwq {
namespace {

// Candidates span `high + step / 4` codes: fewer than all codes leave the extremes outside, more make the grid finer.
constexpr int kFirstStep = -4;
constexpr int kLastStep = 3;
constexpr float kStep = 0.25F;

struct Sums {
  double code = 0, code2 = 0, weight = 0, product = 0;
};

Sums SumsOf(const GridFit& fit, std::span<const float> weights, int low, int high) {
  Sums sums;
  for (const float weight : weights) {
    const double code = FitCode(fit, weight, low, high);
    sums.code += code;
    sums.code2 += code * code;
    sums.weight += weight;
    sums.product += code * weight;
  }
  return sums;
}

// The scale and minimum that are best for the codes that `fit` gives.
GridFit Refit(const GridFit& fit, std::span<const float> weights, int high, bool minimum_below_zero) {
  const Sums sums = SumsOf(fit, weights, 0, high);
  const auto count = static_cast<double>(weights.size());
  const double spread = count * sums.code2 - sums.code * sums.code;
  if (spread <= 0) return fit;
  GridFit out{static_cast<float>((count * sums.product - sums.code * sums.weight) / spread), 0};
  out.minimum = static_cast<float>((sums.weight - out.scale * sums.code) / count);
  if (minimum_below_zero && out.minimum > 0 && sums.code2 > 0) {
    out = {static_cast<float>(sums.product / sums.code2), 0};
  }
  return out;
}

template <class Candidates>
GridFit Best(std::span<const float> weights, int low, int high, const Candidates& candidates) {
  GridFit best;
  double least = FitError(best, weights, low, high);
  candidates([&](const GridFit& fit) {
    const double error = FitError(fit, weights, low, high);
    if (error >= least) return;
    least = error;
    best = fit;
  });
  return best;
}

}  // namespace

int FitCode(const GridFit& fit, float weight, int low, int high) {
  if (fit.scale == 0) return std::clamp(0, low, high);
  const float code = std::nearbyint((weight - fit.minimum) / fit.scale);
  return static_cast<int>(std::clamp(code, static_cast<float>(low), static_cast<float>(high)));
}

double FitError(const GridFit& fit, std::span<const float> weights, int low, int high) {
  double error = 0;
  for (const float weight : weights) {
    const double written = fit.scale * static_cast<float>(FitCode(fit, weight, low, high)) + fit.minimum;
    error += (written - weight) * (written - weight);
  }
  return error;
}

GridFit FitMinimum(std::span<const float> weights, int high, bool minimum_below_zero) {
  auto [least, most] = std::ranges::minmax(weights);
  if (minimum_below_zero) least = std::min(least, 0.0F);
  if (least == most) return {0, least};
  return Best(weights, 0, high, [&](const auto& consider) {
    for (int step = kFirstStep; step <= kLastStep; ++step) {
      const float codes = static_cast<float>(high) + kStep * static_cast<float>(step);
      if (codes < 1) continue;
      const GridFit fit{(most - least) / codes, least};
      consider(fit);
      consider(Refit(fit, weights, high, minimum_below_zero));
    }
  });
}

GridFit FitScale(std::span<const float> weights, int low, int high) {
  const float extreme = *std::ranges::max_element(weights, {}, [](float weight) { return std::abs(weight); });
  if (extreme == 0) return {};
  return Best(weights, low, high, [&](const auto& consider) {
    for (int step = kFirstStep; step <= kLastStep; ++step) {
      // The side with one more code takes the weight that is farthest out.
      const GridFit fit{extreme / (static_cast<float>(low) - kStep * static_cast<float>(step)), 0};
      consider(fit);
      const Sums sums = SumsOf(fit, weights, low, high);
      if (sums.code2 > 0) consider({static_cast<float>(sums.product / sums.code2), 0});
    }
  });
}

}  // namespace gwq
