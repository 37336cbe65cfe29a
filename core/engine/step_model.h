// A model with its KV cache, as the scheduler runs it: one batch at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "absl/status/status.h"
#include "core/backend/backend.h"
#include "core/engine/fifo_lock.h"
#include "core/engine/request.h"
#include "core/models/model.h"

namespace gwq {

// Used by one thread at a time. Tests replace it with a fake model.
class StepModel {
 public:
  virtual ~StepModel() = default;
  [[nodiscard]] virtual int64_t vocab_size() const = 0;
  // The width of a row of embeddings.
  [[nodiscard]] virtual int64_t hidden_size() const = 0;
  [[nodiscard]] virtual int position_axes() const = 0;
  [[nodiscard]] virtual const KvCacheShape& cache_shape() const = 0;
  // Memory of keys and values, in bytes.
  [[nodiscard]] virtual uint64_t cache_bytes() const = 0;
  // Appends the batch's rows to the cache and writes logits [output_rows, vocab_size].
  [[nodiscard]] virtual absl::Status Forward(const Batch& batch, std::span<float> logits) = 0;
};

// What a model takes whose whole cache may go to one request.
[[nodiscard]] RequestLimits LimitsOf(const StepModel& model);

// `model` on `backend` with a new cache that holds at least `cache_tokens` tokens. Takes a turn for each pass, because
// the models of one backend share it. Backend and fifo_lock must outlive the result. RESOURCE_EXHAUSTED if the cache
// cannot be had.
[[nodiscard]] absl::StatusOr<std::unique_ptr<StepModel>> MakeStepModel(std::shared_ptr<const LoadedModel> model,
                                                                       Backend& backend, FifoLock& fifo_lock,
                                                                       int64_t cache_tokens);

}  // namespace gwq
