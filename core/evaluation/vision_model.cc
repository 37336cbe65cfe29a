#include "core/evaluation/vision_model.h"

#include <fmt/format.h>

#include <utility>

#include "core/artifact/stored_processor.h"
#include "core/base/status.h"
#include "core/prompt/image_rows.h"
#include "core/prompt/prompt_builder.h"
#include "core/text/token_bound.h"

namespace gwq {
namespace {

// A prompt is refused for what the question holds.
absl::Status AtQuestion(const DatasetItem& item, const absl::Status& status) {
  const std::string field = fmt::format("line {}.question", item.line);
  const std::vector<FieldViolation> violations = FieldViolations(status);
  return violations.empty() ? Annotate(status, field) : InvalidField(field, violations[0].description);
}

absl::Status TooManyTokens(const DatasetItem& item, int64_t tokens) {
  return InvalidField(
      fmt::format("line {}", item.line),
      fmt::format("has {} tokens with its images, at most {} are asked; use smaller images", tokens, kMaxAskedTokens));
}

// Before the prompt is encoded, which needs much memory for each byte.
absl::Status CheckSize(const Tokenizer& tokenizer, const DatasetItem& item, std::span<const PreparedImage> images) {
  GWQ_ASSIGN_OR_RETURN(const bool more, HasMoreTokens(tokenizer, item.context, kMaxAskedTokens));
  if (more) {
    return InvalidField(fmt::format("line {}.question", item.line),
                        fmt::format("has {} bytes and more than {} tokens, the limit; shorten it", item.context.size(),
                                    kMaxAskedTokens));
  }
  int64_t tokens = 0;
  for (const PreparedImage& image : images) tokens += image.image_tokens;
  return tokens <= kMaxAskedTokens ? absl::OkStatus() : TooManyTokens(item, tokens);
}

}  // namespace

absl::StatusOr<VisionModel> VisionModel::Load(const StoredModel& model, Backend& backend, int64_t max_tokens,
                                              std::string_view phase, Progress& progress) {
  VisionModel out;
  out.backend_ = &backend;
  out.max_tokens_ = max_tokens;
  GWQ_ASSIGN_OR_RETURN(out.processor_, ProcessorOf(model));
  GWQ_ASSIGN_OR_RETURN(const auto files, model.TextFiles());
  GWQ_ASSIGN_OR_RETURN(out.text_, ModelText::Load(files));
  const std::unique_ptr<WeightLoader> loader = MakeWeightLoader(model, backend);
  GWQ_ASSIGN_OR_RETURN(out.loaded_, LoadedModel::Load(model.model(), *loader, [&](int done, int total) {
                         progress.Step(phase, done, total);
                         return progress.Check();
                       }));
  return out;
}

absl::StatusOr<AnswerPrompt> VisionModel::Ask(const DatasetItem& item, std::span<PreparedImage> images) const {
  GWQ_RETURN_IF_ERROR(CheckSize(text_->tokenizer(), item, images));
  std::vector<const PreparedImage*> in_order;
  for (const PreparedImage& image : images) in_order.push_back(&image);
  const ChatMessage turn = UserTurn(images.size(), item.context);
  const PromptBuilder builder(*text_, loaded_->model(), *processor_);
  absl::StatusOr<Prompt> prompt = builder.Build({&turn, 1}, in_order, RenderOptions{});
  if (!prompt.ok()) return AtQuestion(item, prompt.status());
  if (std::ssize(prompt->tokens) > kMaxAskedTokens) return TooManyTokens(item, std::ssize(prompt->tokens));
  AnswerPrompt out;
  GWQ_ASSIGN_OR_RETURN(out.images, EncodeImages(*loaded_, *backend_, images));
  out.tokens = std::move(prompt->tokens);
  out.positions = std::move(prompt->positions);
  return out;
}

}  // namespace gwq
