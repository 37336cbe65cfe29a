// From what a recipe says about texts to token ids.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/progress.h"
#include "core/calibration/sample_set.h"
#include "core/models/config.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/text/model_text.h"

namespace gwq {

// Makes texts of `count` tokens in all where the recipe gives none: those of `samples` samples, one after the other
// (generate.h).
using SampleMaker = std::function<absl::StatusOr<std::vector<int32_t>>(int64_t count, int64_t samples)>;

// The calibration samples as a recipe names them, without special tokens that text or template do not hold themselves.
//   one sample: the first max_tokens tokens (at most the model's longest context)
//   `samples` of a text or file: as many stretches of equal length, and of each the first max_tokens tokens, from its
//     beginning where `seed` is 0, else from a place that the seed draws; one that is short goes on into the next
//   `samples` of the model's own text: that many
// A stretch of several that gives fewer than two tokens is left out. INVALID_ARGUMENT naming the field if nothing is
// left, or an id is outside the vocabulary; NOT_FOUND if the blob is not stored. `text` may be null for sources
// generated and token_ids. Reads of a file only what it takes. Reports phase "sample" by stretches.
[[nodiscard]] absl::StatusOr<SampleSet> CalibrationSamples(const Calibration& calibration, int64_t samples,
                                                           uint64_t seed, const ModelConfig& config,
                                                           const ModelText* text, BlobStore& store,
                                                           const SampleMaker& generate,
                                                           Progress& progress = NoProgress());

}  // namespace gwq
