#include "core/engine/sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/base/log_probability.h"
#include "core/base/status.h"

namespace gwq {

Sequence::Sequence(GenerationRequest request, std::shared_ptr<GenerationSink> sink,
                   std::shared_ptr<const std::atomic<bool>> cancelled, int64_t max_context_tokens, int64_t now)
    : sink_(std::move(sink)),
      cancelled_(std::move(cancelled)),
      decoder_(std::move(request.decoder)),
      stop_ids_(std::move(request.stop_ids)),
      prompt_size_(static_cast<int64_t>(request.prompt.size())),
      size_limit_(prompt_size_ + std::min(request.max_tokens, max_context_tokens - prompt_size_)),
      deadline_(request.deadline_millis),
      seed_(request.sampling.seed),
      arrived_(now),
      images_(std::move(request.images)),
      positions_(std::move(request.positions)),
      log_probabilities_(request.log_probabilities),
      sampler_(request.sampling),
      scorer_(std::move(request.choices)),
      matcher_(std::move(request.stop)),
      tokens_(std::move(request.prompt)) {}

void Sequence::Join(uint64_t arrival, BlockPool& pool) {
  arrival_ = arrival;
  blocks_ = BlockTable(pool);
}

void Sequence::Admit(int64_t now) {
  if (!admitted_.has_value()) admitted_ = now;
}

void Sequence::Preempt() {
  blocks_.Clear();
  cached_ = 0;
}

SequencePart Sequence::Next(int64_t rows) const {
  SequencePart part;
  part.tokens = tokens().subspan(static_cast<size_t>(cached_), static_cast<size_t>(rows));
  part.context = cached_;
  part.blocks = blocks_.blocks();
  if (images_ != nullptr) part.images = *images_;
  part.positions = &positions_;
  return part;
}

absl::StatusOr<std::string> Sequence::TextOf(int32_t token, bool last) {
  std::string text;
  if (decoder_ == nullptr) return text;
  // The token that stopped the answer is no part of its text.
  if (!last || reason_ == FinishReason::kLength) {
    GWQ_ASSIGN_OR_RETURN(const std::string piece, decoder_->Push(token));
    text = matcher_.Push(piece);
  }
  if (last && !matcher_.stopped()) {
    GWQ_ASSIGN_OR_RETURN(const std::string rest, decoder_->Flush());
    text += matcher_.Push(rest);
  }
  if (last && !matcher_.stopped()) text += matcher_.Flush();
  return text;
}

absl::StatusOr<bool> Sequence::Accept(std::span<const float> logits, int64_t now) {
  sink_->OnLogits(logits);
  GWQ_ASSIGN_OR_RETURN(const int32_t token, sampler_.Sample(logits, generated()));
  tokens_.push_back(token);
  if (generated() == 1) first_token_ = now;
  last_token_ = now;

  const bool stop_id = std::find(stop_ids_.begin(), stop_ids_.end(), token) != stop_ids_.end();
  if (stop_id) reason_ = FinishReason::kStop;
  const bool last = stop_id || size() >= size_limit_;
  GWQ_ASSIGN_OR_RETURN(std::string text, TextOf(token, last));
  if (matcher_.stopped()) reason_ = FinishReason::kStop;
  GeneratedChunk chunk{.text = std::move(text), .tokens = {token}, .log_probabilities = {}};
  if (log_probabilities_) {
    GWQ_ASSIGN_OR_RETURN(const double log_sum_exp, LogSumExp(logits));
    chunk.log_probabilities.push_back(LogProbability(logits, token, log_sum_exp));
  }
  sink_->OnChunk(std::move(chunk));
  return last || matcher_.stopped();
}

absl::StatusOr<bool> Sequence::Score(std::span<const float> logits, int64_t now) {
  if (scorer_.next_row() == 0) first_token_ = now;
  last_token_ = now;
  sink_->OnLogits(logits);
  GWQ_ASSIGN_OR_RETURN(const bool another, scorer_.Take(logits));
  if (another) {
    // The rows of the choice before are behind the prompt in the cache: those of this one overwrite them.
    const auto standing = scorer_.Standing();
    tokens_.resize(static_cast<size_t>(prompt_size_));
    tokens_.insert(tokens_.end(), standing.begin(), standing.end());
    cached_ = std::min(cached_, prompt_size_);
  }
  return scorer_.done();
}

absl::Status Sequence::Check(int64_t now) const {
  if (cancelled_->load(std::memory_order_relaxed)) {
    return absl::CancelledError(fmt::format("cancelled after {} generated tokens", generated()));
  }
  if (now >= deadline_) {
    return absl::DeadlineExceededError(
        fmt::format("the deadline passed after {} generated tokens; allow more time or ask for fewer", generated()));
  }
  return absl::OkStatus();
}

void Sequence::FreeBlocks() {
  Preempt();
  images_.reset();
}

void Sequence::Finish() {
  GenerationResult result;
  result.reason = scorer_.active() ? FinishReason::kStop : reason_;
  result.stop_match = matcher_.match();
  result.prompt_tokens = prompt_size_;
  result.generated_tokens = generated();
  result.seed = seed_;
  result.choice_log_likelihoods = scorer_.log_likelihoods();
  result.timings = {*admitted_ - arrived_, first_token_ - *admitted_, last_token_ - first_token_};
  FreeBlocks();
  sink_->OnDone(result);
}

void Sequence::Fail(const absl::Status& status) {
  FreeBlocks();
  sink_->OnDone(status);
}

}  // namespace gwq
