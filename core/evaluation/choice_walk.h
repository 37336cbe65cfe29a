// Log-likelihoods of the choices of many prompts, one stage of the model at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/models/model.h"

namespace gwq {

// What is asked of the model: how likely is each choice right behind the prompt?
struct ChoicePrompt {
  std::vector<int32_t> tokens;                       // at least one; below zero a row of `images`, see Batch::tokens
  std::vector<std::vector<int32_t>> choices;         // each of at least one token
  std::shared_ptr<const std::vector<float>> images;  // [rows, hidden]; null: none
  PromptPositions positions;

  // Rows that are computed: the prompt, and of each choice all tokens but the last.
  [[nodiscard]] int64_t rows() const;
};

// Rows of prompts whose states are held at a time, and of one pass.
inline constexpr int64_t kChoiceWaveRows = 16384;
inline constexpr int64_t kChoicePassRows = 512;
// Rows of logits alive at a time.
inline constexpr int64_t kChoiceLogitRows = 64;

// By prompt and choice: the sum of the log-probabilities of the choice's tokens after the prompt, in nats. The prompt
// is computed once and shared by its choices; each choice's rows stand at the place behind it, so every result is
// bitwise that of prompt and choice computed alone. Prompts go in waves of at most kChoiceWaveRows rows, and each wave
// walks all stages, so that memory is that of one stage and a wave. `loader` gives weights of `backend` and must not
// keep them alive. INVALID_ARGUMENT if a prompt alone has more rows than a wave. Reports phase `phase` in prompts.
[[nodiscard]] absl::StatusOr<std::vector<std::vector<double>>> ScoreChoices(const Model& model, WeightLoader& loader,
                                                                            Backend& backend,
                                                                            std::span<const ChoicePrompt> prompts,
                                                                            std::string_view phase, Progress& progress);

}  // namespace gwq
