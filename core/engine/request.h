// Requests to an engine and its answers.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/sampler.h"
#include "core/models/positions.h"

namespace gwq {

// Turns the generated ids of one request into text, one at a time. The pieces are whole UTF-8 characters. Used by one
// thread at a time.
class TokenDecoder {
 public:
  virtual ~TokenDecoder() = default;
  [[nodiscard]] virtual absl::StatusOr<std::string> Push(int32_t token) = 0;
  // The rest of the text, when no token follows.
  [[nodiscard]] virtual absl::StatusOr<std::string> Flush() = 0;
};

struct GenerationRequest {
  // An id t < 0 is not a token: it stands for row ~t of `images`.
  std::vector<int32_t> prompt;
  std::string input_field = "prompt";  // the prompt's name in errors
  int64_t max_tokens = 256;            // fewer if the context is full before
  SamplingOptions sampling;
  std::vector<std::string> stop;
  std::vector<int32_t> stop_ids;  // end-of-sequence ids included, unless they are to be ignored
  int64_t deadline_millis = std::numeric_limits<int64_t>::max();  // of the engine's monotonic clock
  std::unique_ptr<TokenDecoder> decoder;                          // null: no text, ids only

  // [rows, hidden_size]: the vision tower's output for the prompt's images. Null: none.
  std::shared_ptr<const std::vector<float>> images;
  PromptPositions positions;       // of the prompt and of what follows it
  bool log_probabilities = false;  // of generated tokens, in GeneratedChunk
  // If not empty, nothing is generated: each of these is scored as a continuation of the prompt, which is computed
  // once. max_tokens, sampling and stops are ignored.
  std::vector<std::vector<int32_t>> choices;
};

struct RequestLimits {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int position_axes = 1;
  int64_t max_context_tokens = 0;  // prompt and answer together
  int64_t max_prompt_tokens = 0;   // below max_context_tokens
};

// INVALID_ARGUMENT naming the field as gwq.v1.GenerateRequest does, a choice as "choices.texts[i]". INTERNAL if
// images or positions do not fit the prompt, because callers make them.
[[nodiscard]] absl::Status CheckRequest(const GenerationRequest& request, const RequestLimits& limits);

// The two parts of CheckRequest, for callers that know them earlier: the prompt's size, and everything else.
[[nodiscard]] absl::Status CheckPromptSize(int64_t tokens, std::string_view field, const RequestLimits& limits);
[[nodiscard]] absl::Status CheckAnswerFields(const GenerationRequest& request, const RequestLimits& limits);

enum class FinishReason { kStop, kLength };

struct GeneratedChunk {
  std::string text;             // whole UTF-8 characters; may be empty while a stop string may follow
  std::vector<int32_t> tokens;  // the token that ended the answer is among them, its text is not
  // Log-probabilities of the tokens, if the request asks for them: natural logarithms under the model's own
  // distribution, at temperature 1 and without filters.
  std::vector<double> log_probabilities;
};

struct RequestTimings {
  int64_t queue_millis = 0;    // until it was first admitted
  int64_t prefill_millis = 0;  // from then to the first token
  int64_t decode_millis = 0;   // from the first token to the last
};

struct GenerationResult {
  FinishReason reason = FinishReason::kStop;
  std::string stop_match;  // the stop string that ended it
  int64_t prompt_tokens = 0;
  int64_t generated_tokens = 0;
  uint64_t seed = 0;
  RequestTimings timings;
  // By choice: the sum of its tokens' log-probabilities after the prompt.
  std::vector<double> choice_log_likelihoods;
};

// Where an answer goes. OnLogits, OnChunk and OnDone are called on the thread that runs the engine, in order, OnDone
// exactly once and last; they must not block and must not call the engine's destructor.
class GenerationSink {
 public:
  virtual ~GenerationSink() = default;
  // The logits that the next token is chosen from, or those of the next row of a choice, before they are looked at:
  // they may not be finite, and then OnDone follows. The span is valid during the call.
  virtual void OnLogits(std::span<const float> /*logits*/) {}
  virtual void OnChunk(GeneratedChunk chunk) = 0;
  // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED (nobody read the answer), UNAVAILABLE (shut down) or INTERNAL.
  virtual void OnDone(const absl::StatusOr<GenerationResult>& result) = 0;
  // Tokens that the sink has received and the client has not read. Above a limit the request is paused. Thread-safe.
  [[nodiscard]] virtual int64_t unread_tokens() const = 0;
};

}  // namespace gwq
