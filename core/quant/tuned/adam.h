// Parameters that are learned by Adam (arXiv 1412.6980), with decays of 0.9 and 0.95 as the method's experiments had.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

namespace gwq {

// What is the same for all parameters of one step.
class AdamStep {
 public:
  // `step` counts from 1.
  AdamStep(float rate, int step)
      : rate_(rate),
        mean_part_(1.0F - std::pow(kMeanDecay, static_cast<float>(step))),
        square_part_(1.0F - std::pow(kSquareDecay, static_cast<float>(step))) {}
  // The change of a parameter with this gradient; updates its moments.
  [[nodiscard]] float Change(float gradient, float& mean, float& square) const {
    mean = kMeanDecay * mean + (1.0F - kMeanDecay) * gradient;
    square = kSquareDecay * square + (1.0F - kSquareDecay) * gradient * gradient;
    return -rate_ * (mean / mean_part_) / (std::sqrt(square / square_part_) + kEpsilon);
  }

 private:
  static constexpr float kMeanDecay = 0.9F;
  static constexpr float kSquareDecay = 0.95F;
  static constexpr float kEpsilon = 1e-12F;

  float rate_, mean_part_, square_part_;
};

// Values that start at 0, with their moments.
struct AdamParameters {
  std::vector<float> values, means, squares;
  explicit AdamParameters(size_t count = 0) : values(count), means(count), squares(count) {}
  void Step(size_t at, float gradient, const AdamStep& step) {
    values[at] += step.Change(gradient, means[at], squares[at]);
  }
};

}  // namespace gwq
