// Greedy answers to many prompts by a model that is loaded as a whole.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/base/progress.h"
#include "core/engine/fifo_lock.h"
#include "core/engine/request.h"
#include "core/engine/step_model.h"
#include "core/models/model.h"

namespace gwq {

struct AnswerPrompt {
  std::vector<int32_t> tokens;                       // an id t < 0 is row ~t of `images`
  std::shared_ptr<const std::vector<float>> images;  // [rows, hidden]; null: none
  PromptPositions positions;
};

// Tokens of prompts and answers whose keys and values are held at a time.
inline constexpr int64_t kAnswerCacheTokens = 8192;
// Rows of one pass.
inline constexpr int64_t kAnswerPassRows = 512;
// Of these, those whose logits are wanted.
inline constexpr int64_t kAnswerLogitRows = 64;

// Answers prompts that fit one cache together, on the engine.
class Answerer {
 public:
  // `backend` and `stop_ids` outlive it. `stop_ids` end an answer and are not part of it.
  Answerer(std::shared_ptr<const LoadedModel> model, Backend& backend, std::span<const int32_t> stop_ids,
           int64_t max_tokens)
      : model_(std::move(model)), backend_(backend), stop_ids_(stop_ids), max_tokens_(max_tokens) {}

  // Sees the logits behind prompt `index` and `step` tokens of its answer.
  using Visit = std::function<void(size_t index, size_t step, std::span<const float> logits)>;

  // Of equal logits the lowest token is taken. `visit` may be null. The same answer whatever the other prompts are.
  // RESOURCE_EXHAUSTED if the cache cannot be had; INTERNAL for logits that are not finite.
  [[nodiscard]] absl::StatusOr<std::vector<std::vector<int32_t>>> Answer(std::span<const AnswerPrompt> prompts,
                                                                         const Visit& visit, Progress& progress) const;
  // Reads `answers` behind their prompts. `visit` sees what it would see if the model gave these answers itself: a step
  // for each token, and one for what ends an answer of fewer than max_tokens. Errors as Answer.
  [[nodiscard]] absl::Status Read(std::span<const AnswerPrompt> prompts, std::span<const std::vector<int32_t>> answers,
                                  const Visit& visit, Progress& progress) const;

 private:
  [[nodiscard]] GenerationRequest RequestFor(const AnswerPrompt& prompt) const;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<StepModel>> MakeModel(std::span<const AnswerPrompt> prompts,
                                                                     FifoLock& fifo_lock) const;

  const std::shared_ptr<const LoadedModel> model_;
  Backend& backend_;
  const std::span<const int32_t> stop_ids_;
  const int64_t max_tokens_;
};

}  // namespace gwq
