// Chat templates (Jinja2) as Hugging Face transformers renders them, with bounds on what a template can spend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct GwqTemplate;

namespace gwq {

// A piece of a message in a conversation about images.
struct ChatPart {
  bool image = false;  // an image stands here; `text` is empty
  std::string text = {};
};

// One turn of a conversation, UTF-8.
struct ChatMessage {
  std::string role;  // "system", "user", "assistant" or what the template knows
  std::string content;
  // Where not empty, the template sees a list of {"type": "text", "text": ...} and {"type": "image"} in the place of
  // `content`, as the templates of vision-language models read it.
  std::vector<ChatPart> parts = {};
};

// The special tokens' texts that a template may name; one that the model lacks stays undefined in the template.
struct TemplateTokens {
  std::optional<std::string> bos_token = std::nullopt;
  std::optional<std::string> eos_token = std::nullopt;
  std::optional<std::string> pad_token = std::nullopt;
  std::optional<std::string> unk_token = std::nullopt;
};

// A template comes with a model that somebody uploaded, so nothing it does may end the process or take long: with these
// limits a hostile one ends after a few seconds and a few hundred MiB at worst.
struct TemplateLimits {
  size_t max_source_bytes = size_t{512} << 10;
  size_t max_output_bytes = size_t{16} << 20;  // also of the messages
  // All values made in one rendering, added up; a single value may have an eighth of it.
  size_t max_work_bytes = size_t{128} << 20;
  uint64_t max_steps = 2'000'000;  // instructions; a turn of a conversation takes about a hundred
};

struct RenderOptions {
  // Whether the text ends with the head of an assistant's turn.
  bool add_generation_prompt = true;
  // What strftime_now formats.
  std::tm now = {};
};

// Immutable; Render may be called from several threads at once.
class ChatTemplate {
 public:
  // INVALID_ARGUMENT (field chat_template) where the source is no template or too long.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Compile(std::string_view source,
                                                                                   const TemplateTokens& tokens,
                                                                                   const TemplateLimits& limits = {});
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // The conversation as the model was trained to read it; to be encoded without adding special tokens. The template
  // sees what transformers' apply_chat_template gives it: messages, tools (none), documents (none),
  // add_generation_prompt and the tokens. INVALID_ARGUMENT (field messages) where the template refuses the conversation
  // or fails on it; RESOURCE_EXHAUSTED where it reaches a limit.
  [[nodiscard]] absl::StatusOr<std::string> Render(std::span<const ChatMessage> messages,
                                                   const RenderOptions& options) const;

 private:
  ChatTemplate(GwqTemplate* handle, const TemplateTokens& tokens, const TemplateLimits& limits);

  GwqTemplate* const handle_;  // owned
  const TemplateTokens tokens_;
  const TemplateLimits limits_;
};

}  // namespace gwq
