#include "core/evaluation/vision_model.h"

#include <fmt/format.h>

#include <utility>

#include "core/artifact/stored_processor.h"
#include "core/base/status.h"
#include "core/prompt/image_rows.h"
#include "core/prompt/prompt_builder.h"

namespace gwq {
namespace {

// Of one prompt: memory.cc counts on it.
constexpr int64_t kMaxPromptTokens = 4096;

// A prompt is refused for what the question holds.
absl::Status AtQuestion(const DatasetItem& item, const absl::Status& status) {
  const std::string field = fmt::format("line {}.question", item.line);
  const std::vector<FieldViolation> violations = FieldViolations(status);
  return violations.empty() ? Annotate(status, field) : InvalidField(field, violations[0].description);
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
  std::vector<const PreparedImage*> in_order;
  for (const PreparedImage& image : images) in_order.push_back(&image);
  const ChatMessage turn = UserTurn(images.size(), item.context);
  const PromptBuilder builder(*text_, loaded_->model(), *processor_);
  absl::StatusOr<Prompt> prompt = builder.Build({&turn, 1}, in_order, RenderOptions{});
  if (!prompt.ok()) return AtQuestion(item, prompt.status());
  if (std::ssize(prompt->tokens) > kMaxPromptTokens) {
    return InvalidField(fmt::format("line {}", item.line),
                        fmt::format("has {} tokens with its images, at most {} are asked; use smaller images",
                                    prompt->tokens.size(), kMaxPromptTokens));
  }
  AnswerPrompt out;
  GWQ_ASSIGN_OR_RETURN(out.images, EncodeImages(*loaded_, *backend_, images));
  out.tokens = std::move(prompt->tokens);
  out.positions = std::move(prompt->positions);
  return out;
}

}  // namespace gwq
