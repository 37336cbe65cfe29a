// A conversation about images as the rows that a vision-language model reads: text tokens and image rows with their
// positions. Serving, calibration and evaluation make their prompts here.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "core/models/model.h"
#include "core/text/model_text.h"
#include "core/vision/image_processor.h"

namespace gwq {

struct ImagePrompt {
  // Tokens; an id t < 0 is row ~t of the images' embeddings, those of all images one after the other in the order in
  // which the conversation names them.
  std::vector<int32_t> tokens;
  PromptPositions positions;
  int64_t image_rows = 0;
  std::vector<std::vector<int32_t>> choices;  // the tokens of each text that the assistant may answer with
};

// Tiles as the tower takes them.
[[nodiscard]] std::vector<PatchGrid> GridsOf(const PreparedImage& image);

// Renders `messages` with the model's chat template and puts each image's rows in the place of its part. `images` has
// one entry for each image part, in order. Patches are not used, so the result of ImageProcessor::Plan is enough.
// Equals the processor of transformers 5.23: `text` of apply_chat_template with its markers expanded, encoded with the
// tokenizer's special tokens unless the text begins with the BOS. `choices` become tokens by AnswerContinuations and
// EncodeChoices (core/text/choice_tokens.h), with their errors. INVALID_ARGUMENT (field "messages") if the template
// refuses the conversation, or if a text contains what the tokenizer takes for an image; FAILED_PRECONDITION if the
// model has no chat template; INTERNAL if template and processor do not fit together.
[[nodiscard]] absl::StatusOr<ImagePrompt> BuildImagePrompt(
    const ModelText& text, const Model& model, const ImageProcessor& processor, std::span<const ChatMessage> messages,
    std::span<const PreparedImage* const> images, const RenderOptions& options,
    std::span<const std::string> choices = {}, const EncodeLimits& limits = {});

}  // namespace gwq
