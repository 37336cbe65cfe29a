#include "core/calibration/sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "core/base/status.h"
#include "core/io/json.h"
#include "core/text/first_tokens.h"

namespace gwq {
namespace {

absl::StatusOr<std::vector<int32_t>> FromBlob(const std::string& name, const Tokenizer& tokenizer, BlobStore& store,
                                              int64_t count) {
  GWQ_ASSIGN_OR_RETURN(const Digest digest, Digest::Parse(name));
  const absl::StatusOr<BlobInfo> info = store.Stat(digest);
  if (!info.ok()) return Annotate(info.status(), "recipe.calibration.blob");
  // Two characters more than is looked at, so that a cut at the end of the read bytes is no false error.
  std::string text(static_cast<size_t>(std::min<uint64_t>(info->size, BytesForTokens(count) + 8)), '\0');
  GWQ_RETURN_IF_ERROR(store.Read(digest, 0, std::as_writable_bytes(std::span(text))));
  const std::string_view used = text.size() == info->size ? std::string_view(text) : CutUtf8(text, text.size() - 4);
  if (!IsValidUtf8(used)) return InvalidField("recipe.calibration.blob", "is not valid UTF-8 text");
  return FirstTokens(tokenizer, used, count);
}

absl::StatusOr<std::vector<int32_t>> FromChat(const Calibration& calibration, const ModelText& text) {
  if (text.chat_template() == nullptr) {
    return InvalidField("recipe.calibration.source",
                        "is 'chat', but the model has no chat template; use source 'text' or another");
  }
  std::vector<ChatMessage> messages;
  for (const ChatTurn& turn : calibration.messages) messages.push_back({turn.role, turn.content});
  RenderOptions options;
  options.add_generation_prompt = false;
  return text.EncodeChat(messages, options);
}

absl::StatusOr<std::vector<int32_t>> Uncut(const Calibration& calibration, const ModelText* text, BlobStore& store,
                                           const SampleMaker& generate, int64_t count) {
  const bool speaks =
      calibration.source != CalibrationSource::kGenerated && calibration.source != CalibrationSource::kTokenIds;
  if (speaks && text == nullptr) return absl::InternalError("a calibration text needs the model's tokenizer");
  switch (calibration.source) {
    case CalibrationSource::kGenerated:
      return generate(count);
    case CalibrationSource::kText:
      return FirstTokens(text->tokenizer(), calibration.text, count);
    case CalibrationSource::kChat:
      return FromChat(calibration, *text);
    case CalibrationSource::kTokenIds:
      return calibration.token_ids;
    case CalibrationSource::kFile:
      return FromBlob(calibration.blob, text->tokenizer(), store, count);
    case CalibrationSource::kImage:
      return absl::InternalError("a sample with a picture is made by MakeImageSample");
  }
  return absl::InternalError("unknown calibration source");
}

std::string_view SourceField(CalibrationSource source) {
  switch (source) {
    case CalibrationSource::kText:
      return "recipe.calibration.text";
    case CalibrationSource::kChat:
      return "recipe.calibration.messages";
    case CalibrationSource::kTokenIds:
      return "recipe.calibration.token_ids";
    case CalibrationSource::kFile:
      return "recipe.calibration.blob";
    case CalibrationSource::kGenerated:
    case CalibrationSource::kImage:
      break;
  }
  return "recipe.calibration.source";
}

}  // namespace

absl::StatusOr<std::vector<int32_t>> CalibrationTokens(const Calibration& calibration, const ModelConfig& config,
                                                       const ModelText* text, BlobStore& store,
                                                       const SampleMaker& generate) {
  int64_t count = calibration.max_tokens;
  if (config.max_positions > 0) count = std::min(count, config.max_positions);
  GWQ_ASSIGN_OR_RETURN(std::vector<int32_t> tokens, Uncut(calibration, text, store, generate, count));
  if (static_cast<int64_t>(tokens.size()) > count) tokens.resize(static_cast<size_t>(count));
  const std::string_view field = SourceField(calibration.source);
  if (tokens.size() < 2) {
    return InvalidField(field, fmt::format("gives {} tokens; at least two are needed", tokens.size()));
  }
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= config.vocab_size) {
      return InvalidField(
          fmt::format("{}[{}]", field, i),
          fmt::format("token {} is outside the model's vocabulary of {}", tokens[i], config.vocab_size));
    }
  }
  return tokens;
}

}  // namespace gwq
