// The vision-language families of tests/golden/data/prompts.json, read as a served model reads them.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/prompt/prompt_builder.h"

namespace gwq::testing {

inline const nlohmann::json& Golden() {
  static const nlohmann::json golden = [] {
    const char* source = std::getenv("GWQ_SOURCE_DIR");
    std::ifstream file(std::string(source == nullptr ? "." : source) + "/tests/golden/data/prompts.json");
    return nlohmann::json::parse(file);
  }();
  return golden;
}

// A family's files.
struct Seeing {
  explicit Seeing(const nlohmann::json& family) {
    const std::string config = family["config"].dump();
    const std::string preprocessor = family["preprocessor_config"].dump();
    const auto parsed = ParseModelConfig(config);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    model = *CreateModel(*parsed);
    auto made = ImageProcessor::Parse({.config = config, .preprocessor_config = preprocessor, .processor_config = ""});
    EXPECT_TRUE(made.ok()) << made.status();
    processor = *std::move(made);
    auto loaded = ModelText::Load(
        {{"tokenizer.json", family["tokenizer"].dump()}, {"tokenizer_config.json", family["tokenizer_config"].dump()}});
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    text = *std::move(loaded);
  }

  [[nodiscard]] absl::StatusOr<Prompt> Build(std::span<const ChatMessage> messages,
                                             const std::vector<PreparedImage>& images, bool prompt = true,
                                             std::span<const std::string> choices = {},
                                             const EncodeLimits& limits = {}) const {
    std::vector<const PreparedImage*> pointers;
    for (const PreparedImage& image : images) pointers.push_back(&image);
    return PromptBuilder(*text, *model, *processor)
        .Build(messages, pointers, {.add_generation_prompt = prompt}, choices, limits);
  }

  std::unique_ptr<const Model> model;
  std::unique_ptr<const ImageProcessor> processor;
  std::unique_ptr<const ModelText> text;
};

inline const nlohmann::json& FamilyNamed(const std::string& name) {
  for (const nlohmann::json& family : Golden()["families"]) {
    if (family["name"] == name) return family;
  }
  return Golden()["families"][0];
}

}  // namespace gwq::testing
