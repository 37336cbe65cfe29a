// Makes the engine's prompt from image files and messages: decoding, preprocessing, encoding, tokens.
#pragma once

#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "core/vision/image_processor.h"
#include "server/infer/image_memory.h"
#include "server/infer/image_metrics.h"
#include "server/infer/vqa_request.h"

namespace gwq {

struct VqaPrompt {
  int64_t image_rows = 0;
  std::vector<PreparedImage> images;  // by index in the request, without patches
  ImageTimes times;                   // queue_millis is the caller's
};

// Fills prompt, choices, images and positions of `input.generation`, and the lengths of the choices of `input.task`.
// Decodes and encodes one image after the other, so it needs the memory of one image and of the rows of all. It
// computes and waits for the backend's turn, so it must not run in a reaction or on an engine's thread. `check` is
// called between steps (a block of the tower is a step) and ends the work with its error. INVALID_ARGUMENT names
// images[i] if an image is broken or over a limit; the headers of all are checked before anything is decoded.
// INVALID_ARGUMENT names the messages if they do not fit the context, before anything is encoded. RESOURCE_EXHAUSTED if
// `memory` has no room for the rows.
[[nodiscard]] absl::StatusOr<VqaPrompt> MakeVqaPrompt(const ServedModel& model, const ImageLimits& limits,
                                                      ImageMemory& memory, const std::function<absl::Status()>& check,
                                                      VqaInput& input);

}  // namespace gwq
