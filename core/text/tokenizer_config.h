// What stands beside the tokenizer in a Hugging Face directory: special tokens and the chat template.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "core/text/chat_template.h"

namespace gwq {

// `files`: name -> bytes, as ModelText::Load takes them. Errors are INVALID_ARGUMENT on the file or the field in it.

// The JSON object in a file; an empty one where the file is absent.
[[nodiscard]] absl::StatusOr<nlohmann::json> ReadTextObject(const std::map<std::string, std::string>& files,
                                                            const std::string& name);
// Texts of the special tokens: of tokenizer_config.json, else of special_tokens_map.json.
[[nodiscard]] absl::StatusOr<TemplateTokens> ReadSpecialTokens(const std::map<std::string, std::string>& files);
// The template's source; empty if the model has none.
[[nodiscard]] absl::StatusOr<std::string> ReadChatTemplate(const std::map<std::string, std::string>& files);

}  // namespace gwq
