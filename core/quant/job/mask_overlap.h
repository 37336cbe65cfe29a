// How much the weights that gradients pick depend on which samples they were taken of.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

namespace gwq {

// The weights that one half of the samples or the other picks, over all matrices that were looked at.
struct MaskOverlap {
  int64_t both = 0;    // picked by each half
  int64_t either = 0;  // by one or both

  // The Jaccard index, in [0, 1]; none if nothing was looked at.
  [[nodiscard]] std::optional<double> jaccard() const {
    if (either == 0) return std::nullopt;
    return static_cast<double>(both) / static_cast<double>(either);
  }
  friend bool operator==(const MaskOverlap&, const MaskOverlap&) = default;
};

// As checkpoints and kept passes store it: [both, either].
[[nodiscard]] nlohmann::json OverlapJson(const MaskOverlap& overlap);
// None if it is not of that form.
[[nodiscard]] std::optional<MaskOverlap> ParseOverlap(const nlohmann::json& json);

// Compares the masks of both halves of a gradient walk: the hundredth of each matrix with the largest |gradient|, one
// weight at least, whatever share of outliers a recipe asks for, so that figures of different recipes can be compared.
// Not thread-safe.
class HalfMasks {
 public:
  // The gradient over the first half of the samples, which is held until Compare.
  void TakeHalf(std::string_view tensor, std::span<const float> gradient);
  // `sum` is the gradient over all samples of a tensor that TakeHalf was given, else nothing happens. What both halves
  // picked is added to `overlap`. FAILED_PRECONDITION if a gradient is not finite.
  [[nodiscard]] absl::Status Compare(std::string_view tensor, std::span<const float> sum, MaskOverlap& overlap);

 private:
  std::map<std::string, std::vector<float>, std::less<>> halves_;
};

}  // namespace gwq
