// The steps of a Vqa call to the engine and back, shared by the stream and the unary call.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "gwq/v1/inference.pb.h"
#include "server/infer/cancel_slot.h"
#include "server/infer/generate_request.h"
#include "server/infer/infer_environment.h"
#include "server/infer/vqa_answer.h"
#include "server/infer/vqa_prompt.h"

namespace gwq {

// A request that has been read and waits for a thread that prepares its images.
struct VqaStart {
  std::shared_ptr<ServedModel> model;
  VqaInput input;
  std::chrono::steady_clock::time_point read_at;
};

// What the answer's last message needs in addition to the engine's result.
struct VqaOutcome {
  VqaAnswer answer;
  int64_t image_rows = 0;
  ImageTimes times;
};

// Quick: finds the model, reads the request, checks the engine's queue.
[[nodiscard]] absl::StatusOr<std::shared_ptr<VqaStart>> StartVqa(const InferEnvironment& environment,
                                                                 const v1::VqaRequest& request,
                                                                 const std::string& principal);

// Slow: encodes the images, then submits to the engine. Runs on a thread of environment.images. `check` as in
// MakeVqaPrompt.
[[nodiscard]] absl::Status SubmitVqa(const InferEnvironment& environment, VqaStart& start, int64_t deadline_millis,
                                     const std::function<absl::Status()>& check,
                                     const std::function<std::shared_ptr<GenerationSink>(VqaOutcome)>& make_sink,
                                     CancelSlot& slot);

// Fills a VqaChunk or VqaResponse as the last message. Called once per outcome.
template <class Message>
[[nodiscard]] absl::Status FillVqa(VqaOutcome& outcome, const GenerationResult& result, Message& out) {
  absl::StatusOr<v1::VqaResult> typed = outcome.answer.Finish(result);
  if (!typed.ok()) return typed.status();
  *out.mutable_result() = *std::move(typed);
  FillResult(result, out);
  out.mutable_usage()->set_image_tokens(static_cast<int32_t>(outcome.image_rows));
  out.mutable_timings()->set_image_queue_ms(outcome.times.queue_millis);
  out.mutable_timings()->set_image_prepare_ms(outcome.times.prepare_millis);
  out.mutable_timings()->set_image_encode_ms(outcome.times.encode_millis);
  return absl::OkStatus();
}

}  // namespace gwq
