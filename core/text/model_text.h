// The text side of a model: tokenizer, chat template, and the ids that begin and end a text.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/text/chat_template.h"
#include "core/text/choice_tokens.h"
#include "core/text/tokenizer.h"

namespace gwq {

// Immutable after Load; may be used by several threads at once.
class ModelText {
 public:
  // `files`: name -> bytes of the small files of a Hugging Face directory; other files are ignored.
  //   tokenizer.json           required
  //   tokenizer_config.json    bos_token, eos_token, …; chat_template as text or as a list of named ones ("default" is
  //                            taken)
  //   special_tokens_map.json  tokens that tokenizer_config.json does not name
  //   chat_template.jinja      goes before the one in tokenizer_config.json
  //   chat_template.json       the same, as processors of transformers 4 write it: {"chat_template": text}
  //   generation_config.json   eos_token_id, a number or a list; without it config.json's (or its text_config's)
  // INVALID_ARGUMENT on the file, or the field in it, that is missing or malformed. A chat template that does not
  // compile is an error too: a model that cannot chat should say so when it is loaded.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const ModelText>> Load(
      const std::map<std::string, std::string>& files, const TokenizerLimits& tokenizer_limits = {},
      const TemplateLimits& template_limits = {});

  [[nodiscard]] const Tokenizer& tokenizer() const { return *tokenizer_; }
  // Null if the model has none.
  [[nodiscard]] const ChatTemplate* chat_template() const { return chat_template_.get(); }
  // Ids that end a generation, ascending: those of the configuration, and the tokenizer's eos_token.
  [[nodiscard]] const std::vector<int32_t>& stop_ids() const { return stop_ids_; }
  // The token that ends a turn of the assistant: the tokenizer's eos_token, else the first that the configuration
  // names.
  [[nodiscard]] std::optional<int32_t> eos_id() const { return eos_id_; }
  [[nodiscard]] std::optional<int32_t> bos_id() const { return bos_id_; }
  // Whether Encode with add_special_tokens begins with bos_id().
  [[nodiscard]] bool adds_bos() const { return adds_bos_; }

  // Renders the conversation and encodes it without adding tokens (a template writes its own BOS). FAILED_PRECONDITION
  // if the model has no chat template.
  [[nodiscard]] absl::StatusOr<std::vector<int32_t>> EncodeChat(std::span<const ChatMessage> messages,
                                                                const RenderOptions& options,
                                                                const EncodeLimits& limits = {}) const;
  // The same, with the tokens of each of `choices` as the assistant's answer (AnswerContinuations, EncodeChoices).
  // Returns the errors of both.
  [[nodiscard]] absl::StatusOr<ChoiceTokens> EncodeChatChoices(std::span<const ChatMessage> messages,
                                                               std::span<const std::string> choices,
                                                               const RenderOptions& options,
                                                               const EncodeLimits& limits = {}) const;

 private:
  ModelText() = default;

  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<const ChatTemplate> chat_template_;
  std::vector<int32_t> stop_ids_;
  std::optional<int32_t> eos_id_;
  std::optional<int32_t> bos_id_;
  bool adds_bos_ = false;
};

}  // namespace gwq
