// gwq.v1.GenerateRequest to what the engine takes, and back.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/request.h"
#include "core/text/chat_template.h"
#include "gwq/v1/inference.pb.h"
#include "server/infer/served_model.h"

namespace gwq {

// Renders, encodes and checks what the engine does not. Takes time that grows with the text. INVALID_ARGUMENT names the
// request's field. Where no seed is given one is drawn. `deadline_millis` is monotonic.
[[nodiscard]] absl::StatusOr<GenerationRequest> MakeGenerationRequest(const ServedModel& model,
                                                                      const v1::GenerateRequest& request,
                                                                      int64_t deadline_millis);

// The fields that GenerateRequest and VqaRequest share (max_tokens, sampling, stop, stop_ids, ignore_eos), and a
// decoder for the answer's text. The seed is drawn where none is given.
template <class Request>
[[nodiscard]] absl::Status ReadAnswerFields(const ModelText& text, const Request& request, GenerationRequest& out);
extern template absl::Status ReadAnswerFields(const ModelText&, const v1::GenerateRequest&, GenerationRequest&);
extern template absl::Status ReadAnswerFields(const ModelText&, const v1::VqaRequest&, GenerationRequest&);

// INVALID_ARGUMENT naming `field` where a conversation has no message or too many.
[[nodiscard]] absl::Status CheckMessageCount(int count, std::string_view field);
// INVALID_ARGUMENT naming "chat.messages" as above.
[[nodiscard]] absl::StatusOr<std::vector<ChatMessage>> ReadMessages(const v1::ChatMessages& chat);
// Ids of a conversation without images, as the model's own processor makes them. `max_tokens` as in EncodeLimits.
[[nodiscard]] absl::StatusOr<std::vector<int32_t>> EncodeMessages(const ServedModel& model,
                                                                  const v1::ChatMessages& chat, int64_t max_tokens);
// What a prompt of this model may have.
[[nodiscard]] int64_t MaxPromptTokens(const ServedModel& model);
// gRPC tells deadlines in system time; the engine counts monotonic milliseconds.
[[nodiscard]] int64_t MonotonicDeadline(const Clock& clock, std::chrono::system_clock::time_point deadline);
// What a rendering of the present sees: the head of an answer is asked for, and dates are today's in UTC.
[[nodiscard]] RenderOptions RenderNow();

// Fills finish_reason, usage, timings, seed and stop_match of an answer's last message.
template <class Message>
void FillResult(const GenerationResult& result, Message& out);
extern template void FillResult(const GenerationResult&, v1::GenerateChunk&);
extern template void FillResult(const GenerationResult&, v1::GenerateResponse&);
extern template void FillResult(const GenerationResult&, v1::VqaChunk&);
extern template void FillResult(const GenerationResult&, v1::VqaResponse&);

}  // namespace gwq
