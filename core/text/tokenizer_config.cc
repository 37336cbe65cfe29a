#include "core/text/tokenizer_config.h"

#include <fmt/format.h>

#include <optional>
#include <utility>

#include "core/base/status.h"
#include "core/io/json.h"

namespace gwq {
namespace {

using nlohmann::json;
using Files = std::map<std::string, std::string>;

constexpr size_t kMaxJsonBytes = size_t{64} << 20;  // as of a tokenizer.json

// A token is written as a text or as an object with its text in "content".
std::optional<std::string> TokenText(const json& config, const char* key) {
  const auto entry = config.find(key);
  if (entry == config.end()) return std::nullopt;
  if (entry->is_string()) return entry->get<std::string>();
  if (entry->is_object() && entry->contains("content") && (*entry)["content"].is_string()) {
    return (*entry)["content"].get<std::string>();
  }
  return std::nullopt;
}

TemplateTokens ReadTokens(const json& config, const json& special_tokens) {
  const auto token = [&](const char* key) {
    auto text = TokenText(config, key);
    return text.has_value() || config.contains(key) ? text : TokenText(special_tokens, key);
  };
  return {token("bos_token"), token("eos_token"), token("pad_token"), token("unk_token")};
}

absl::StatusOr<std::string> DefaultTemplate(const json& named) {
  constexpr char kField[] = "tokenizer_config.json: chat_template";
  for (const json& entry : named) {
    if (!entry.is_object() || !entry.contains("template") || !entry["template"].is_string()) {
      return InvalidField(kField, "is a list whose entries are not all {name, template}");
    }
    if (named.size() == 1 || entry.value("name", json()) == "default") return entry["template"].get<std::string>();
  }
  return InvalidField(kField, fmt::format("is a list of {} templates without one named default", named.size()));
}

}  // namespace

absl::StatusOr<json> ReadTextObject(const Files& files, const std::string& name) {
  const auto file = files.find(name);
  if (file == files.end()) return json::object();
  GWQ_ASSIGN_OR_RETURN(json value, ParseJson(name, file->second, {.max_bytes = kMaxJsonBytes}));
  if (!value.is_object()) return InvalidField(name, "is not a JSON object");
  return value;
}

absl::StatusOr<TemplateTokens> ReadSpecialTokens(const Files& files) {
  GWQ_ASSIGN_OR_RETURN(const json config, ReadTextObject(files, "tokenizer_config.json"));
  GWQ_ASSIGN_OR_RETURN(const json special_tokens, ReadTextObject(files, "special_tokens_map.json"));
  return ReadTokens(config, special_tokens);
}

absl::StatusOr<std::string> ReadChatTemplate(const Files& files) {
  if (const auto file = files.find("chat_template.jinja"); file != files.end()) return file->second;
  GWQ_ASSIGN_OR_RETURN(const json processor, ReadTextObject(files, "chat_template.json"));
  if (const auto text = processor.find("chat_template"); text != processor.end()) {
    if (text->is_string()) return text->get<std::string>();
    return InvalidField("chat_template.json: chat_template", "is not a text");
  }
  GWQ_ASSIGN_OR_RETURN(const json config, ReadTextObject(files, "tokenizer_config.json"));
  const auto entry = config.find("chat_template");
  if (entry == config.end() || entry->is_null()) return std::string();
  if (entry->is_string()) return entry->get<std::string>();
  if (entry->is_array()) return DefaultTemplate(*entry);
  return InvalidField("tokenizer_config.json: chat_template", "is neither a text nor a list of named texts");
}

}  // namespace gwq
