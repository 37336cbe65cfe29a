#include "core/text/chat_template.h"

#include <fmt/format.h>

#include "core/base/status.h"
#include "core/text/rust_call.h"

namespace gwq {
namespace {

using text_internal::CallRust;
using text_internal::TakeText;

// A JSON string. Ill-formed UTF-8 passes through: the reader refuses it and names its position.
std::string Quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20) {
      out += fmt::format("\\u{:04x}", byte);
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out += '"';
}

size_t TextBytes(const ChatMessage& message) {
  size_t bytes = message.role.size() + message.content.size();
  for (const ChatPart& part : message.parts) bytes += part.text.size();
  return bytes;
}

std::string ContentJson(const ChatMessage& message) {
  if (message.parts.empty()) return Quote(message.content);
  std::string out = "[";
  for (const ChatPart& part : message.parts) {
    if (out.size() > 1) out += ',';
    out += part.image ? R"({"type":"image"})" : fmt::format(R"({{"type":"text","text":{}}})", Quote(part.text));
  }
  return out += ']';
}

void AddToken(std::string& context, std::string_view name, const std::optional<std::string>& token) {
  if (token.has_value()) context += fmt::format(",\"{}\":{}", name, Quote(*token));
}

}  // namespace

ChatTemplate::ChatTemplate(GwqTemplate* handle, const TemplateTokens& tokens, const TemplateLimits& limits)
    : handle_(handle), tokens_(tokens), limits_(limits) {}

ChatTemplate::~ChatTemplate() { gwq_template_free(handle_); }

absl::StatusOr<std::unique_ptr<const ChatTemplate>> ChatTemplate::Compile(std::string_view source,
                                                                          const TemplateTokens& tokens,
                                                                          const TemplateLimits& limits) {
  if (source.size() > limits.max_source_bytes) {
    return InvalidField("chat_template",
                        fmt::format("has {} bytes, the limit is {}", source.size(), limits.max_source_bytes));
  }
  const GwqTemplateLimits c_limits{limits.max_source_bytes, limits.max_output_bytes, limits.max_work_bytes,
                                   limits.max_steps};
  GWQ_ASSIGN_OR_RETURN(GwqTemplate* const handle,
                       CallRust<GwqTemplate*>("chat_template", [&](GwqTemplate** out, GwqText* error) {
                         return gwq_template_compile(source.data(), source.size(), &c_limits, out, error);
                       }));
  return std::unique_ptr<const ChatTemplate>(new ChatTemplate(handle, tokens, limits));
}

absl::StatusOr<std::string> ChatTemplate::Render(std::span<const ChatMessage> messages,
                                                 const RenderOptions& options) const {
  std::string context = "{\"messages\":[";
  size_t bytes = 0;
  for (size_t i = 0; i < messages.size(); ++i) {
    bytes += TextBytes(messages[i]);
    if (bytes > limits_.max_output_bytes) {
      return InvalidField("messages", fmt::format("hold more than {} bytes of text", limits_.max_output_bytes));
    }
    context += fmt::format("{}{{\"role\":{},\"content\":{}}}", i == 0 ? "" : ",", Quote(messages[i].role),
                           ContentJson(messages[i]));
  }
  context +=
      fmt::format("],\"tools\":null,\"documents\":null,\"add_generation_prompt\":{}", options.add_generation_prompt);
  AddToken(context, "bos_token", tokens_.bos_token);
  AddToken(context, "eos_token", tokens_.eos_token);
  AddToken(context, "pad_token", tokens_.pad_token);
  AddToken(context, "unk_token", tokens_.unk_token);
  context += '}';
  GWQ_ASSIGN_OR_RETURN(const GwqText text, CallRust<GwqText>("messages", [&](GwqText* out, GwqText* error) {
                         return gwq_template_render(handle_, context.data(), context.size(), &options.now, out, error);
                       }));
  return TakeText(text);
}

}  // namespace gwq
