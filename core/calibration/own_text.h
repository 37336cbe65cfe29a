// Several calibration samples in a chat model's own words, begun in different ways.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/models/config.h"
#include "core/models/model.h"
#include "core/text/model_text.h"

namespace gwq {

// How a model's texts begin, and how its chat template hands a dialogue on from one side to the other.
struct OwnTextStarts {
  std::vector<int32_t> document;                // a text without turns
  std::vector<int32_t> user;                    // up to where the user's first message begins
  std::vector<std::vector<int32_t>> questions;  // up to where the assistant begins to answer a question
  std::vector<std::vector<int32_t>> tasks;      // the same for a small programming task
  std::vector<int32_t> to_assistant;            // between a user's message and the assistant's
  std::vector<int32_t> to_user;                 // between an assistant's message and the user's
  std::vector<int32_t> ends;                    // tokens that end a turn
};

// The token that a text without turns begins with: BOS, or else what ends a text, or 0.
[[nodiscard]] int32_t FirstTokenOf(const ModelConfig& config);

// None if the model has no chat template, or one in which the turns of a dialogue cannot be told apart, or one whose
// tokens are not all in the model's vocabulary.
[[nodiscard]] absl::StatusOr<std::optional<OwnTextStarts>> FindOwnTextStarts(const ModelText& text,
                                                                             const ModelConfig& config);

// samples x count tokens. A sample is up to four texts of equal length, of 64 tokens at least: a document, a dialogue
// that the model begins as the user, one on a question, and one on a task; each of them is drawn from the model's
// distribution (temperature 1) with `seed`. Where a side ends its turn the other one's is begun; a document does not
// end. Equal arguments give equal tokens. The texts grow side by side: memory is a stage and the cache, and the model
// is read as many times as a text has tokens. Phase "sample", in tokens.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> WriteOwnTexts(const Model& model, WeightLoader& loader,
                                                                 Backend& backend, const OwnTextStarts& starts,
                                                                 int64_t count, int64_t samples, uint64_t seed,
                                                                 Progress& progress);

}  // namespace gwq
