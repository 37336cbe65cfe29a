// A calibration sample for want of one: the model's own words.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/models/model.h"

namespace gwq {

// Models whose weights take at most this much stay loaded while they generate; a larger one is loaded stage by stage
// for each token, so that memory stays a stage.
inline constexpr uint64_t kGenerateResidentBytes = uint64_t{768} << 20;

// `count` tokens: `first`, then greedily the largest logit (ties: the lowest token) among the tokens that are not in
// `excluded` (those that end a text). `resident` keeps all stages loaded. Reports phase "sample" by tokens.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> GenerateSample(const Model& model, WeightLoader& loader,
                                                                  Backend& backend, int32_t first, int64_t count,
                                                                  const std::vector<int32_t>& excluded, bool resident,
                                                                  Progress& progress);

}  // namespace gwq
