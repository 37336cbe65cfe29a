#include "server/infer/vqa_run.h"

#include <utility>

#include "core/base/status.h"

namespace gwq {

absl::StatusOr<std::shared_ptr<VqaStart>> StartVqa(const InferEnvironment& environment, const v1::VqaRequest& request,
                                                   const std::string& principal) {
  auto start = std::make_shared<VqaStart>();
  GWQ_ASSIGN_OR_RETURN(start->model, environment.models.Find(principal, request.model()));
  GWQ_ASSIGN_OR_RETURN(start->input, ReadVqaRequest(*start->model, request, principal, environment.image_store,
                                                    environment.image_limits));
  GWQ_RETURN_IF_ERROR(start->model->engine().CheckQueue());
  start->read_at = std::chrono::steady_clock::now();
  return start;
}

absl::Status SubmitVqa(const InferEnvironment& environment, VqaStart& start, int64_t deadline_millis,
                       const std::function<absl::Status()>& check,
                       const std::function<std::shared_ptr<GenerationSink>(VqaOutcome)>& make_sink, CancelSlot& slot) {
  const std::chrono::duration<double, std::milli> waited = std::chrono::steady_clock::now() - start.read_at;
  VqaInput& input = start.input;
  GWQ_RETURN_IF_ERROR(check());
  absl::StatusOr<VqaPrompt> prompt =
      MakeVqaPrompt(*start.model, environment.image_limits, environment.image_memory, check, input);
  const ImageTimes times = prompt.ok() ? prompt->times : ImageTimes();
  const int64_t rows = prompt.ok() ? prompt->image_rows : 0;
  if (!input.images.empty()) {
    start.model->vision()->metrics().OnImages(static_cast<int>(input.images.size()), rows,
                                              {waited.count(), times.prepare_millis, times.encode_millis},
                                              prompt.status().code());
  }
  GWQ_RETURN_IF_ERROR(prompt.status());

  const bool boxes = input.task.kind == VqaTask::Kind::kBoxes;
  const PreparedImage* const image = boxes ? &prompt->images[static_cast<size_t>(input.task.box_image)] : nullptr;
  GWQ_ASSIGN_OR_RETURN(VqaAnswer answer, VqaAnswer::Create(*start.model, std::move(input.task), image));
  input.generation.deadline_millis = deadline_millis;
  auto sink = make_sink({.answer = std::move(answer),
                         .image_rows = rows,
                         .times = {waited.count(), times.prepare_millis, times.encode_millis}});
  GWQ_ASSIGN_OR_RETURN(auto handle, start.model->engine().Submit(std::move(input.generation), std::move(sink)));
  slot.Set(std::move(handle));
  return absl::OkStatus();
}

}  // namespace gwq
