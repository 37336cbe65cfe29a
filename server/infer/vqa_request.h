// Reads and checks gwq.v1.VqaRequest before any image is decoded.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "core/engine/request.h"
#include "core/text/chat_template.h"
#include "core/vision/image.h"
#include "gwq/v1/inference.pb.h"
#include "server/infer/image_store.h"
#include "server/infer/models/served_model.h"

namespace gwq {

// The bytes of an image file, in the request or uploaded before.
struct ImageFile {
  std::string_view bytes;
  std::shared_ptr<const std::string> kept;  // keeps an uploaded one alive
};

// How to interpret the answer.
struct VqaTask {
  enum class Kind { kText, kChoices, kBoxes };
  Kind kind = Kind::kText;
  std::vector<std::string> choices;
  bool with_end = false;  // of choices: the end of the answer is scored too
  v1::ChoiceNormalization normalization = v1::BY_NOTHING;
  std::vector<int64_t> choice_tokens;   // by choice; with the prompt, as the next
  std::vector<int64_t> choice_lengths;  // by choice: what its log-likelihood is divided by
  int box_image = 0;                    // index into the request's images
  double abstain_below = 0;
};

struct VqaInput {
  std::vector<ImageFile> images;
  std::vector<ChatMessage> messages;
  std::vector<int> image_order;  // of each image part of the messages: its index into images
  std::string text_field;        // what an error calls the messages
  VqaTask task;
  GenerationRequest generation;  // all but prompt, choices, images and positions
};

// Checks everything but the images' bytes. The result points into `request`. INVALID_ARGUMENT naming the field;
// NOT_FOUND for an image that is not kept; FAILED_PRECONDITION for images if the model takes none; UNIMPLEMENTED for
// boxes if the family has no format for them.
[[nodiscard]] absl::StatusOr<VqaInput> ReadVqaRequest(const ServedModel& model, const v1::VqaRequest& request,
                                                      const std::string& principal, ImageStore& store,
                                                      const ImageLimits& limits);

}  // namespace gwq
