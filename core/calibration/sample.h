// From what a recipe says about texts to token ids.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/models/config.h"
#include "core/spec/recipe.h"
#include "core/storage/blob_store.h"
#include "core/text/model_text.h"

namespace gwq {

// Makes a sample of `count` tokens where the recipe gives none (generate.h).
using SampleMaker = std::function<absl::StatusOr<std::vector<int32_t>>(int64_t count)>;

// The calibration sample: the first max_tokens tokens (at most the model's longest context) of what the recipe names,
// without special tokens that the text or template does not hold itself. INVALID_ARGUMENT naming the field where it has
// fewer than two tokens or an id outside the vocabulary; NOT_FOUND where the blob is not stored. `text` may be null for
// sources generated and token_ids.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> CalibrationTokens(const Calibration& calibration,
                                                                     const ModelConfig& config, const ModelText* text,
                                                                     BlobStore& store, const SampleMaker& generate);

}  // namespace gwq
