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
#include "core/models/model.h"

namespace gwq {

struct AnswerPrompt {
  std::vector<int32_t> tokens;                       // an id t < 0 is row ~t of `images`
  std::shared_ptr<const std::vector<float>> images;  // [rows, hidden]; null: none
  PromptPositions positions;
};

// Tokens of prompts and answers whose keys and values are held at a time.
inline constexpr int64_t kAnswerCacheTokens = 8192;
// Rows of a prompt in one pass.
inline constexpr int64_t kAnswerPassRows = 512;

// Answers prompts that fit one cache together.
class Answerer {
 public:
  // All outlive it. `stop_ids` end an answer and are not part of it.
  Answerer(const LoadedModel& model, Backend& backend, std::span<const int32_t> stop_ids, int64_t max_tokens)
      : model_(model), backend_(backend), stop_ids_(stop_ids), max_tokens_(max_tokens) {}

  // Sees the logits behind prompt `index` and `step` tokens of its answer.
  using Visit = std::function<void(size_t index, size_t step, std::span<const float> logits)>;

  // Of equal logits the lowest token is taken. `visit` may be null. Where `forced` is not empty it holds the answers,
  // and the model only reads them: as many steps as a greedy answer of these tokens would take. The same answer
  // whatever the other prompts are. RESOURCE_EXHAUSTED where the cache cannot be had.
  [[nodiscard]] absl::StatusOr<std::vector<std::vector<int32_t>>> Run(std::span<const AnswerPrompt> prompts,
                                                                      const Visit& visit,
                                                                      std::span<const std::vector<int32_t>> forced,
                                                                      Progress& progress);

 private:
  struct Sequence;
  [[nodiscard]] absl::StatusOr<std::unique_ptr<KvCache>> MakeCache(std::span<Sequence> sequences) const;
  [[nodiscard]] absl::Status Prefill(Sequence& sequence, KvCache& cache, std::span<float> logits) const;
  [[nodiscard]] absl::Status DecodeStep(std::span<Sequence*> active, KvCache& cache, std::span<float> logits) const;
  // False where the answer is over.
  [[nodiscard]] bool Append(Sequence& sequence, std::span<const float> logits) const;

  const LoadedModel& model_;
  Backend& backend_;
  const std::span<const int32_t> stop_ids_;
  const int64_t max_tokens_;
};

}  // namespace gwq
