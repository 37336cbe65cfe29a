// Converts gwq.v1.GenerateRequest to the engine's request, and the engine's result back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/request.h"
#include "core/text/chat_template.h"
#include "gwq/v1/inference.pb.h"
#include "server/infer/models/served_model.h"

namespace gwq {

// Renders and encodes the prompt, and checks the fields that the engine does not check. Takes time that grows with the
// text. INVALID_ARGUMENT names the request's field. Draws a seed if none is given. `deadline_millis` is monotonic.
[[nodiscard]] absl::StatusOr<GenerationRequest> MakeGenerationRequest(const ServedModel& model,
                                                                      const v1::GenerateRequest& request,
                                                                      int64_t deadline_millis);

// The fields that GenerateRequest and VqaRequest share (max_tokens, sampling, stop, stop_ids, ignore_eos), and a
// decoder for the answer's text. Draws a seed if none is given.
template <class Request>
[[nodiscard]] absl::Status ReadAnswerFields(const ModelText& text, const Request& request, GenerationRequest& out);
extern template absl::Status ReadAnswerFields(const ModelText&, const v1::GenerateRequest&, GenerationRequest&);
extern template absl::Status ReadAnswerFields(const ModelText&, const v1::VqaRequest&, GenerationRequest&);

// INVALID_ARGUMENT naming `field` if a conversation has no message or too many.
[[nodiscard]] absl::Status CheckMessageCount(int count, std::string_view field);
// INVALID_ARGUMENT naming "chat.messages" as above.
[[nodiscard]] absl::StatusOr<std::vector<ChatMessage>> ReadMessages(const v1::ChatMessages& chat);
// Ids of a conversation without images, as the model's own processor makes them. `max_tokens` as in EncodeLimits.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> EncodeMessages(const ServedModel& model,
                                                                  const v1::ChatMessages& chat, int64_t max_tokens);
// The largest number of tokens that a prompt of this model may have.
[[nodiscard]] int64_t MaxPromptTokens(const ServedModel& model);
// Converts gRPC's deadline in system time to the engine's monotonic milliseconds.
[[nodiscard]] int64_t MonotonicDeadline(const Clock& clock, std::chrono::system_clock::time_point deadline);
// Options for rendering now: with the head of an answer, and with today's date in UTC.
[[nodiscard]] RenderOptions RenderNow();

// Fills finish_reason, usage, timings, seed and stop_match of an answer's last message.
template <class Message>
void FillResult(const GenerationResult& result, Message& out);
extern template void FillResult(const GenerationResult&, v1::GenerateChunk&);
extern template void FillResult(const GenerationResult&, v1::GenerateResponse&);
extern template void FillResult(const GenerationResult&, v1::VqaChunk&);
extern template void FillResult(const GenerationResult&, v1::VqaResponse&);

}  // namespace gwq
