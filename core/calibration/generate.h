// A calibration sample for want of one: the model's own words.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/models/model.h"

namespace gwq {

// `count` tokens of S = count / 32 texts one after the other, at least 1 and at most `max_texts`, equally long but for
// the cut at the end. Each text is `first`, then the k-th most likely token for the k-th text, then greedily the most
// likely one (ties: the lowest token). Tokens in `excluded` (those that end a text) are never chosen.
//
// The texts grow side by side in one batch, and each step loads the stages one by one: memory is a stage and the cache,
// and the model is read count / S times. Reports phase "sample" by tokens.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> GenerateSample(const Model& model, WeightLoader& loader,
                                                                  Backend& backend, int32_t first, int64_t count,
                                                                  const std::vector<int32_t>& excluded,
                                                                  Progress& progress, int64_t max_texts = 16);

}  // namespace gwq
