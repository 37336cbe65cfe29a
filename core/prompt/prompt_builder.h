// A conversation, with images and choices, as the rows that a model reads: text tokens and image rows with their
// positions. Serving, calibration and evaluation make their prompts here.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/models/model.h"
#include "core/text/model_text.h"
#include "core/vision/image_processor.h"

namespace gwq {

struct Prompt {
  // Tokens; an id t < 0 is row ~t of the images' embeddings, those of all images one after the other in the order in
  // which the conversation names them.
  std::vector<int32_t> tokens;
  PromptPositions positions;
  int64_t image_rows = 0;
  std::vector<std::vector<int32_t>> choices;  // the tokens of each text that the assistant may answer with
};

// A user's turn: `images` images, then the text.
[[nodiscard]] ChatMessage UserTurn(size_t images, std::string text);

// Makes the prompts of one model. Immutable and thread-safe.
class PromptBuilder {
 public:
  // Of a text model. `text` outlives the builder.
  explicit PromptBuilder(const ModelText& text) : text_(text) {}
  // Of a vision-language model. All outlive the builder.
  PromptBuilder(const ModelText& text, const Model& model, const ImageProcessor& processor)
      : text_(text), model_(&model), processor_(&processor) {}

  // The conversation as the model's chat template writes it. A message may have content or parts: the template of a
  // text model sees content, that of a vision-language model parts. FAILED_PRECONDITION if the model has no chat
  // template; the errors of ChatTemplate::Render.
  [[nodiscard]] absl::StatusOr<std::string> Render(std::span<const ChatMessage> messages,
                                                   const RenderOptions& options) const;

  // Renders `messages` and puts each image's rows where its part stands. `images` holds one entry for each image part,
  // in order; patches are not looked at, so that what ImageProcessor::Plan gives will do. Equals the processor of
  // transformers 5.23: `text` of apply_chat_template with its markers expanded, encoded with the tokenizer's special
  // tokens unless the text begins with the BOS; of a text model without special tokens. `choices` become tokens by
  // AnswerContinuations and EncodeChoices (core/text/choice_tokens.h), whose errors are theirs. INVALID_ARGUMENT (field
  // "messages") if the template refuses the conversation, or a text holds what the tokenizer takes for an image;
  // FAILED_PRECONDITION as Render, and for images if the model takes none; INTERNAL if template and processor do
  // not fit together.
  [[nodiscard]] absl::StatusOr<Prompt> Build(std::span<const ChatMessage> messages,
                                             std::span<const PreparedImage* const> images, const RenderOptions& options,
                                             std::span<const std::string> choices = {},
                                             const EncodeLimits& limits = {}) const;

  // The token that stands for an image row; -1 for a text model.
  [[nodiscard]] int32_t image_token() const { return model_ == nullptr ? -1 : model_->config().image_token_id; }

 private:
  [[nodiscard]] std::vector<ChatMessage> AsTheTemplateReads(std::span<const ChatMessage> messages) const;
  [[nodiscard]] absl::StatusOr<Prompt> BuildWithImages(std::span<const ChatMessage> messages,
                                                       std::span<const PreparedImage* const> images,
                                                       const RenderOptions& options,
                                                       std::span<const std::string> choices,
                                                       const EncodeLimits& limits) const;

  const ModelText& text_;
  const Model* model_ = nullptr;               // null for a text model
  const ImageProcessor* processor_ = nullptr;  // likewise
};

}  // namespace gwq
