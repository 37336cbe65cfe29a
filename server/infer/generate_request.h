// gwq.v1.GenerateRequest to what the engine takes, and back.
#pragma once

#include <cstdint>
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

// INVALID_ARGUMENT naming "chat.messages" where there is none.
[[nodiscard]] absl::StatusOr<std::vector<ChatMessage>> ReadMessages(const v1::ChatMessages& chat);
// What a rendering of the present sees: the head of an answer is asked for, and dates are today's in UTC.
[[nodiscard]] RenderOptions RenderNow();

// Fills finish_reason, usage, timings, seed and stop_match of a GenerateChunk or GenerateResponse.
template <class Message>
void FillResult(const GenerationResult& result, Message& out);
extern template void FillResult(const GenerationResult&, v1::GenerateChunk&);
extern template void FillResult(const GenerationResult&, v1::GenerateResponse&);

}  // namespace gwq
