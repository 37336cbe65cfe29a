#include "core/models/image_prompt.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>

#include "core/base/status.h"

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

std::vector<PatchGrid> GridsOf(const PreparedImage& image) {
  std::vector<PatchGrid> out;
  for (const ImageTile& tile : image.tiles) out.push_back({tile.patches_high, tile.patches_wide});
  return out;
}

absl::StatusOr<ImagePrompt> BuildImagePrompt(const ModelText& text, const Model& model, const ImageProcessor& processor,
                                             std::span<const ChatMessage> messages,
                                             std::span<const PreparedImage* const> images, const RenderOptions& options,
                                             std::span<const std::string> choices, const EncodeLimits& limits) {
  if (text.chat_template() == nullptr) {
    return absl::FailedPreconditionError("the model has no chat template, which places images in the prompt");
  }
  const Tokenizer& tokenizer = text.tokenizer();
  const int32_t image_token = model.config().image_token_id;
  GWQ_RETURN_IF_ERROR(CheckTexts(messages, tokenizer, processor.marker(), image_token));
  GWQ_ASSIGN_OR_RETURN(const std::string rendered, text.chat_template()->Render(messages, options));
  GWQ_ASSIGN_OR_RETURN(const std::string expanded, ExpandMarkers(rendered, processor, images));
  const std::string bos = text.bos_id().has_value() ? tokenizer.IdToToken(*text.bos_id()).value_or("") : "";
  const bool has_bos = !bos.empty() && expanded.starts_with(bos);

  ImagePrompt prompt;
  const std::vector<std::string> answers =
      AnswerContinuations(*text.chat_template(), messages, rendered, choices, options);
  GWQ_ASSIGN_OR_RETURN(ChoiceTokens encoded,
                       EncodeChoices(tokenizer, expanded, answers, /*add_special_tokens=*/!has_bos, limits));
  prompt.tokens = std::move(encoded.prompt);
  prompt.choices = std::move(encoded.choices);
  GWQ_ASSIGN_OR_RETURN(prompt.image_rows, NumberImageRows(image_token, images, prompt.tokens));
  std::vector<std::vector<PatchGrid>> grids;
  for (const PreparedImage* image : images) grids.push_back(GridsOf(*image));
  GWQ_ASSIGN_OR_RETURN(prompt.positions, model.PositionsFor(prompt.tokens, grids));
  return prompt;
}

}  // namespace gwq
