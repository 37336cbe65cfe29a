// A request in progress: its tokens, its place in the cache, and the steps from logits to the client.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/block_pool.h"
#include "core/engine/choice_scorer.h"
#include "core/engine/request.h"
#include "core/engine/sampler.h"
#include "core/engine/stop_matcher.h"
#include "core/models/batch_rows.h"

namespace gwq {

// Used by the engine's thread alone; only `cancelled` may be set by other threads.
class Sequence {
 public:
  // `request` has passed CheckRequest. Times are monotonic milliseconds; `now` is when the request was submitted.
  Sequence(GenerationRequest request, std::shared_ptr<GenerationSink> sink,
           std::shared_ptr<const std::atomic<bool>> cancelled, int64_t max_context_tokens, int64_t now);

  // Must be called first: sets its place in the order of arrival, and the pool of its blocks.
  void Join(uint64_t arrival, BlockPool& pool);
  [[nodiscard]] uint64_t arrival() const { return arrival_; }
  [[nodiscard]] int64_t arrived_millis() const { return arrived_; }

  // Prompt and generated tokens, or the prompt and what is being scored. An id t < 0 is row ~t of the images.
  [[nodiscard]] std::span<const int32_t> tokens() const { return tokens_; }
  [[nodiscard]] int64_t size() const { return static_cast<int64_t>(tokens_.size()); }
  // The number of tokens in the cache.
  [[nodiscard]] int64_t cached() const { return cached_; }
  [[nodiscard]] int64_t uncached() const { return size() - cached_; }
  void Advance(int64_t rows) { cached_ += rows; }
  // Whether the next pass is the one row of the token generated last.
  [[nodiscard]] bool decoding() const { return generated() > 0 && uncached() == 1; }
  [[nodiscard]] int64_t generated() const { return scorer_.active() ? 0 : size() - prompt_size_; }
  // Whether choices are scored, with Score in the place of Accept.
  [[nodiscard]] bool scoring() const { return scorer_.active(); }
  // From this row on logits are wanted.
  [[nodiscard]] int64_t first_output() const {
    return scorer_.active() ? prompt_size_ - 1 + scorer_.next_row() : size() - 1;
  }
  // The next `rows` of the rows that the cache lacks. Points into this sequence.
  [[nodiscard]] SequencePart Next(int64_t rows) const;

  void Admit(int64_t now);
  // Gives the blocks back. All tokens must be computed again, with the same result.
  void Preempt();
  [[nodiscard]] BlockTable& blocks() { return blocks_; }
  [[nodiscard]] const BlockTable& blocks() const { return blocks_; }

  // Chooses the next token from the logits of the last row and passes it to the sink. True if it was the last one.
  // After an error the sequence must end.
  [[nodiscard]] absl::StatusOr<bool> Accept(std::span<const float> logits, int64_t now);
  // Takes the logits of the next row from first_output() on. True when the last choice is scored.
  [[nodiscard]] absl::StatusOr<bool> Score(std::span<const float> logits, int64_t now);
  // CANCELLED or DEADLINE_EXCEEDED once the request should leave.
  [[nodiscard]] absl::Status Check(int64_t now) const;
  // Each ends the sequence and tells the sink.
  void Finish();
  void Fail(const absl::Status& status);

  [[nodiscard]] int64_t unread_tokens() const { return sink_->unread_tokens(); }
  [[nodiscard]] int64_t last_token_millis() const { return last_token_; }

 private:
  // Called before the sink is told, so that whoever hears of the end can use the memory.
  void FreeBlocks();
  [[nodiscard]] absl::StatusOr<std::string> TextOf(int32_t token, bool last);

  const std::shared_ptr<GenerationSink> sink_;
  const std::shared_ptr<const std::atomic<bool>> cancelled_;
  const std::unique_ptr<TokenDecoder> decoder_;
  const std::vector<int32_t> stop_ids_;
  const int64_t prompt_size_;
  const int64_t size_limit_;
  const int64_t deadline_;
  const uint64_t seed_;
  const int64_t arrived_;
  std::shared_ptr<const std::vector<float>> images_;
  const PromptPositions positions_;
  const bool log_probabilities_;
  Sampler sampler_;
  ChoiceScorer scorer_;
  StopMatcher matcher_;

  std::vector<int32_t> tokens_;
  int64_t cached_ = 0;
  BlockTable blocks_;
  FinishReason reason_ = FinishReason::kLength;

  uint64_t arrival_ = 0;
  std::optional<int64_t> admitted_;
  int64_t first_token_ = 0;
  int64_t last_token_ = 0;
};

}  // namespace gwq
