// Which weights of a matrix stay in FP16.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace gwq {

// floor(ratio * n) of the product in double precision, as the reference computes it. ratio in [0, 1].
[[nodiscard]] int64_t OutlierCount(double ratio, int64_t n);

// Flat positions of the `count` largest |scores|, in increasing order; of equal ones those with the lowest position
// win, as a stable sort in descending order would have it. Uses 4 bytes a score besides its result. FAILED_PRECONDITION
// naming `tensor` and the position if a score is not finite. count in [0, scores.size()].
[[nodiscard]] absl::StatusOr<std::vector<int64_t>> LargestScores(std::span<const float> scores, int64_t count,
                                                                 std::string_view tensor);

// A score in [0, 1) for each position that depends on nothing but seed, tensor name and position: the control that
// picks outliers at random.
void RandomScores(uint64_t seed, std::string_view tensor, std::span<float> scores);

}  // namespace gwq
