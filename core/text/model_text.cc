#include "core/text/model_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "core/base/status.h"
#include "core/text/tokenizer_config.h"

namespace gwq {
namespace {

using nlohmann::json;
using Files = std::map<std::string, std::string>;

absl::Status AppendIds(const json& value, const std::string& field, std::vector<int32_t>& out) {
  if (value.is_null()) return absl::OkStatus();
  for (const json& id : value.is_array() ? value : json::array({value})) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<int32_t>::max()) {
      return InvalidField(field, fmt::format("is not a token id or a list of them: {}", id.dump().substr(0, 40)));
    }
    out.push_back(id.get<int32_t>());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int32_t>> ConfiguredStops(const Files& files) {
  GWQ_ASSIGN_OR_RETURN(const json generation, ReadTextObject(files, "generation_config.json"));
  GWQ_ASSIGN_OR_RETURN(const json config, ReadTextObject(files, "config.json"));
  std::vector<int32_t> ids;
  GWQ_RETURN_IF_ERROR(AppendIds(generation.value("eos_token_id", json()), "generation_config.json: eos_token_id", ids));
  if (!ids.empty()) return ids;
  GWQ_RETURN_IF_ERROR(AppendIds(config.value("eos_token_id", json()), "config.json: eos_token_id", ids));
  const json text_config = config.value("text_config", json::object());
  if (!ids.empty() || !text_config.is_object()) return ids;
  GWQ_RETURN_IF_ERROR(
      AppendIds(text_config.value("eos_token_id", json()), "config.json: text_config.eos_token_id", ids));
  return ids;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const ModelText>> ModelText::Load(const Files& files,
                                                                 const TokenizerLimits& tokenizer_limits,
                                                                 const TemplateLimits& template_limits) {
  const auto tokenizer_json = files.find("tokenizer.json");
  if (tokenizer_json == files.end()) {
    return InvalidField("tokenizer.json", "is missing; save the model's tokenizer with transformers to get one");
  }
  GWQ_ASSIGN_OR_RETURN(const TemplateTokens tokens, ReadSpecialTokens(files));

  std::unique_ptr<ModelText> text(new ModelText());
  GWQ_ASSIGN_OR_RETURN(text->tokenizer_, Tokenizer::Load(tokenizer_json->second, tokenizer_limits));
  GWQ_ASSIGN_OR_RETURN(const std::string source, ReadChatTemplate(files));
  if (!source.empty()) {
    GWQ_ASSIGN_OR_RETURN(text->chat_template_, ChatTemplate::Compile(source, tokens, template_limits));
  }
  GWQ_ASSIGN_OR_RETURN(text->stop_ids_, ConfiguredStops(files));
  if (tokens.eos_token.has_value()) {
    text->eos_id_ = text->tokenizer_->TokenToId(*tokens.eos_token);
    if (text->eos_id_.has_value()) text->stop_ids_.push_back(*text->eos_id_);
  }
  if (!text->eos_id_.has_value() && !text->stop_ids_.empty()) text->eos_id_ = text->stop_ids_.front();
  std::sort(text->stop_ids_.begin(), text->stop_ids_.end());
  text->stop_ids_.erase(std::unique(text->stop_ids_.begin(), text->stop_ids_.end()), text->stop_ids_.end());

  if (tokens.bos_token.has_value()) text->bos_id_ = text->tokenizer_->TokenToId(*tokens.bos_token);
  GWQ_ASSIGN_OR_RETURN(const std::vector<int32_t> empty, text->tokenizer_->Encode("", true));
  text->adds_bos_ = text->bos_id_.has_value() && !empty.empty() && empty.front() == *text->bos_id_;
  return std::unique_ptr<const ModelText>(std::move(text));
}

absl::StatusOr<std::vector<int32_t>> ModelText::EncodeChat(std::span<const ChatMessage> messages,
                                                           const RenderOptions& options,
                                                           const EncodeLimits& limits) const {
  GWQ_ASSIGN_OR_RETURN(ChoiceTokens encoded, EncodeChatChoices(messages, {}, options, limits));
  return std::move(encoded.prompt);
}

absl::StatusOr<ChoiceTokens> ModelText::EncodeChatChoices(std::span<const ChatMessage> messages,
                                                          std::span<const std::string> choices,
                                                          const RenderOptions& options,
                                                          const EncodeLimits& limits) const {
  if (chat_template_ == nullptr) {
    return absl::FailedPreconditionError("the model has no chat template: send a prompt or token ids");
  }
  GWQ_ASSIGN_OR_RETURN(const std::string rendered, chat_template_->Render(messages, options));
  const std::vector<std::string> answers = AnswerContinuations(*chat_template_, messages, rendered, choices, options);
  return EncodeChoices(*tokenizer_, rendered, answers, /*add_special_tokens=*/false, limits);
}

}  // namespace gwq
