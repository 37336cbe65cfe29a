#include "core/prompt/prompt_builder.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/base/status.h"
#include "core/prompt/image_rows.h"

namespace gwq {
namespace {

// Text that looks like an image's token would take the place of an image.
absl::Status CheckTexts(std::span<const ChatMessage> messages, const Tokenizer& tokenizer, std::string_view marker,
                        int32_t image_token) {
  const std::string token_text = tokenizer.IdToToken(image_token).value_or(std::string(marker));
  const auto check = [&](std::string_view text) -> absl::Status {
    for (const std::string_view mark : {marker, std::string_view(token_text)}) {
      if (text.find(mark) != std::string_view::npos) {
        return InvalidField("messages", fmt::format("a text holds '{}', which marks an image; leave it out", mark));
      }
    }
    return absl::OkStatus();
  };
  for (const ChatMessage& message : messages) {
    GWQ_RETURN_IF_ERROR(check(message.role));
    GWQ_RETURN_IF_ERROR(check(message.content));
    for (const ChatPart& part : message.parts) GWQ_RETURN_IF_ERROR(check(part.text));
  }
  return absl::OkStatus();
}

// `text` with each marker replaced by the text of its image.
absl::StatusOr<std::string> ExpandMarkers(std::string_view text, const ImageProcessor& processor,
                                          std::span<const PreparedImage* const> images) {
  std::string out;
  size_t next = 0;
  for (size_t at = text.find(processor.marker()); at != std::string_view::npos; at = text.find(processor.marker())) {
    out += text.substr(0, at);
    if (next < images.size()) out += processor.PromptText(*images[next]);
    ++next;
    text.remove_prefix(at + processor.marker().size());
  }
  out += text;
  if (next == images.size()) return out;
  const std::string count =
      fmt::format("the prompt has '{}' {} times for {} images", processor.marker(), next, images.size());
  if (next > images.size()) return InvalidField("messages", count + "; texts may not make it up, in pieces either");
  return absl::InternalError(count + ": the chat template leaves images out");
}

// Numbers the image tokens as rows below zero.
absl::StatusOr<int64_t> NumberImageRows(int32_t image_token, std::span<const PreparedImage* const> images,
                                        std::vector<int32_t>& tokens) {
  int64_t wanted = 0;
  for (const PreparedImage* image : images) wanted += image->image_tokens;
  int32_t rows = 0;
  for (int32_t& token : tokens) {
    if (token == image_token) token = ~(rows++);
  }
  if (rows == wanted) return wanted;
  return absl::InternalError(fmt::format(
      "the prompt has {} image tokens for images of {}: tokenizer and processor do not fit together", rows, wanted));
}

}  // namespace

ChatMessage UserTurn(size_t images, std::string text) {
  ChatMessage message{"user", ""};
  for (size_t i = 0; i < images; ++i) message.parts.push_back({.image = true});
  message.parts.push_back({.text = std::move(text)});
  return message;
}

std::vector<ChatMessage> PromptBuilder::AsTheTemplateReads(std::span<const ChatMessage> messages) const {
  std::vector<ChatMessage> out(messages.begin(), messages.end());
  for (ChatMessage& message : out) {
    if (model_ == nullptr) {
      for (const ChatPart& part : message.parts) message.content += part.text;
      message.parts.clear();
    } else if (message.parts.empty()) {
      message.parts.push_back({.text = std::exchange(message.content, "")});
    }
  }
  return out;
}

absl::StatusOr<std::string> PromptBuilder::Render(std::span<const ChatMessage> messages,
                                                  const RenderOptions& options) const {
  if (text_.chat_template() == nullptr) {
    return absl::FailedPreconditionError("the model has no chat template: send text, a prompt or token ids");
  }
  return text_.chat_template()->Render(AsTheTemplateReads(messages), options);
}

absl::StatusOr<Prompt> PromptBuilder::Build(std::span<const ChatMessage> messages,
                                            std::span<const PreparedImage* const> images, const RenderOptions& options,
                                            std::span<const std::string> choices, const EncodeLimits& limits) const {
  const std::vector<ChatMessage> given = AsTheTemplateReads(messages);
  if (model_ != nullptr) return BuildWithImages(given, images, options, choices, limits);
  if (!images.empty()) return absl::FailedPreconditionError("the model takes no images");
  GWQ_ASSIGN_OR_RETURN(ChoiceTokens encoded, text_.EncodeChatChoices(given, choices, options, limits));
  Prompt prompt;
  prompt.tokens = std::move(encoded.prompt);
  prompt.choices = std::move(encoded.choices);
  return prompt;
}

absl::StatusOr<Prompt> PromptBuilder::BuildWithImages(std::span<const ChatMessage> messages,
                                                      std::span<const PreparedImage* const> images,
                                                      const RenderOptions& options,
                                                      std::span<const std::string> choices,
                                                      const EncodeLimits& limits) const {
  const ChatTemplate* const chat_template = text_.chat_template();
  if (chat_template == nullptr) {
    return absl::FailedPreconditionError("the model has no chat template, which places images in the prompt");
  }
  const Tokenizer& tokenizer = text_.tokenizer();
  GWQ_RETURN_IF_ERROR(CheckTexts(messages, tokenizer, processor_->marker(), image_token()));
  GWQ_ASSIGN_OR_RETURN(const std::string rendered, chat_template->Render(messages, options));
  GWQ_ASSIGN_OR_RETURN(const std::string expanded, ExpandMarkers(rendered, *processor_, images));
  const std::string bos = text_.bos_id().has_value() ? tokenizer.IdToToken(*text_.bos_id()).value_or("") : "";
  const bool has_bos = !bos.empty() && expanded.starts_with(bos);

  Prompt prompt;
  const std::vector<std::string> answers = AnswerContinuations(*chat_template, messages, rendered, choices, options);
  GWQ_ASSIGN_OR_RETURN(ChoiceTokens encoded,
                       EncodeChoices(tokenizer, expanded, answers, /*add_special_tokens=*/!has_bos, limits));
  prompt.tokens = std::move(encoded.prompt);
  prompt.choices = std::move(encoded.choices);
  GWQ_ASSIGN_OR_RETURN(prompt.image_rows, NumberImageRows(image_token(), images, prompt.tokens));
  std::vector<std::vector<PatchGrid>> grids;
  for (const PreparedImage* image : images) grids.push_back(GridsOf(*image));
  GWQ_ASSIGN_OR_RETURN(prompt.positions, model_->PositionsFor(prompt.tokens, grids));
  return prompt;
}

}  // namespace gwq
