// Sequences that grow in a KV cache chunk by chunk, in any mix: what prefill, decoding and mixed batches are.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/backend/backend.h"
#include "core/models/model.h"

namespace gwq::testing {

class CachedSequences {
 public:
  // Tokens [begin, end) of a sequence; `begin` must be what was fed before.
  struct Chunk {
    int sequence = 0;
    int64_t begin = 0;
    int64_t end = 0;
  };

  // A cache for all of `sequences`, their blocks scattered over it. `backend` and `model` outlive this object.
  [[nodiscard]] static absl::StatusOr<CachedSequences> Create(Backend& backend, const LoadedModel& model,
                                                              std::vector<std::vector<int32_t>> sequences,
                                                              int64_t block_tokens);
  // One forward pass over the chunks in this order; logits of all their rows.
  [[nodiscard]] absl::StatusOr<std::vector<float>> Feed(std::span<const Chunk> chunks);
  // As Feed, each chunk's logits apart.
  [[nodiscard]] absl::StatusOr<std::vector<std::vector<float>>> FeedApart(std::span<const Chunk> chunks);

 private:
  CachedSequences(Backend& backend, const LoadedModel& model) : backend_(&backend), model_(&model) {}

  Backend* backend_;
  const LoadedModel* model_;
  std::vector<std::vector<int32_t>> sequences_;
  std::vector<std::vector<int32_t>> tables_;
  std::unique_ptr<KvCache> cache_;
};

}  // namespace gwq::testing
