// Chat templates (Jinja2) as Hugging Face transformers renders them, with limits on the time and memory of a template.
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
  bool image = false;  // this part is an image; `text` is empty
  std::string text = {};
};

// One turn of a conversation, UTF-8.
struct ChatMessage {
  std::string role;  // "system", "user", "assistant" or another role of the template
  std::string content;
  // If not empty, the template sees a list of {"type": "text", "text": ...} and {"type": "image"} instead of `content`,
  // as the templates of vision-language models expect.
  std::vector<ChatPart> parts = {};
};

// The special tokens' texts that a template may name; one that the model lacks stays undefined in the template.
struct TemplateTokens {
  std::optional<std::string> bos_token = std::nullopt;
  std::optional<std::string> eos_token = std::nullopt;
  std::optional<std::string> pad_token = std::nullopt;
  std::optional<std::string> unk_token = std::nullopt;
};

// A template comes with an uploaded model, so it must not be able to end the process or to run for long. With these
// limits a hostile template stops after at most a few seconds and a few hundred MiB.
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
  // The time that strftime_now formats.
  std::tm now = {};
};

// Immutable; Render may be called from several threads at once.
class ChatTemplate {
 public:
  // INVALID_ARGUMENT (field chat_template) if the source is not a template or too long.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<const ChatTemplate>> Compile(std::string_view source,
                                                                                   const TemplateTokens& tokens,
                                                                                   const TemplateLimits& limits = {});
  ~ChatTemplate();
  ChatTemplate(const ChatTemplate&) = delete;
  ChatTemplate& operator=(const ChatTemplate&) = delete;

  // The conversation as the model was trained to read it. Encode it without adding special tokens. The template sees
  // the same variables as in transformers' apply_chat_template: messages, tools (none), documents (none),
  // add_generation_prompt and the tokens. INVALID_ARGUMENT (field messages) if the template refuses the conversation or
  // fails on it; RESOURCE_EXHAUSTED if it reaches a limit.
  [[nodiscard]] absl::StatusOr<std::string> Render(std::span<const ChatMessage> messages,
                                                   const RenderOptions& options) const;

 private:
  ChatTemplate(GwqTemplate* handle, const TemplateTokens& tokens, const TemplateLimits& limits);

  GwqTemplate* const handle_;  // owned
  const TemplateTokens tokens_;
  const TemplateLimits limits_;
};

}  // namespace gwq
