// From image files and messages to what the engine takes: decoding, preprocessing, encoding, prompt.
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

// Fills prompt, choices, images and positions of `input.generation`, and how long the choices of `input.task` are.
// Images are decoded and encoded one after the other, so that the memory is that of one beside the rows that become of
// them. Blocks on the processor and on the backend's turn; not for a reaction or an engine's thread. `check` is asked
// between steps, of which a block of the tower is one, and ends the work with its error. INVALID_ARGUMENT naming
// images[i] for one that is broken or over a limit, which is seen from all headers before anything is decoded, or the
// messages where they do not fit the context, which is seen before anything is encoded. RESOURCE_EXHAUSTED where
// `memory` has no room for their rows.
[[nodiscard]] absl::StatusOr<VqaPrompt> MakeVqaPrompt(const ServedModel& model, const ImageLimits& limits,
                                                      ImageMemory& memory, const std::function<absl::Status()>& check,
                                                      VqaInput& input);

}  // namespace gwq
