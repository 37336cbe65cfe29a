// Conversations about images against the processors of transformers (tests/golden/make_prompts.py).
#include "core/prompt/prompt_builder.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/base/status.h"
#include "tests/core/prompt/seeing.h"

namespace gwq {
namespace {

using nlohmann::json;
using testing::FamilyNamed;
using testing::Golden;
using testing::Seeing;

std::vector<ChatMessage> Messages(const json& golden) {
  std::vector<ChatMessage> out;
  for (const json& message : golden) {
    out.push_back({message["role"], ""});
    for (const json& part : message["content"]) {
      const bool image = part["type"] == "image";
      out.back().parts.push_back({.image = image, .text = image ? "" : part["text"].get<std::string>()});
    }
  }
  return out;
}

TEST(PromptBuilder, TokensEqualTheProcessorsOfTransformers) {
  ASSERT_EQ(Golden()["families"].size(), 4u);
  for (const json& family : Golden()["families"]) {
    SCOPED_TRACE(family["name"].get<std::string>());
    const Seeing seeing(family);
    for (const json& golden : family["cases"]) {
      SCOPED_TRACE(golden["messages"].dump() + golden["sizes"].dump());
      std::vector<PreparedImage> images;
      int64_t rows = 0;
      for (const json& size : golden["sizes"]) {
        images.push_back(*seeing.processor->Plan(size[0], size[1]));
        rows += images.back().image_tokens;
      }
      const auto prompt = seeing.Build(Messages(golden["messages"]), images, golden["prompt"]);
      ASSERT_TRUE(prompt.ok()) << prompt.status();
      std::vector<int32_t> ids = prompt->tokens;
      int32_t row = 0;
      for (int32_t& id : ids) {
        if (id >= 0) continue;
        EXPECT_EQ(id, ~row) << "rows count up over all images";
        ++row;
        id = seeing.model->config().image_token_id;
      }
      EXPECT_EQ(ids, golden["ids"].get<std::vector<int32_t>>());
      EXPECT_EQ(prompt->image_rows, rows);
      EXPECT_EQ(row, rows);
      EXPECT_EQ(std::ssize(prompt->positions.positions), std::ssize(ids) * seeing.model->config().position_axes);
    }
  }
}

TEST(PromptBuilder, TextThatMarksAnImageIsRefused) {
  const std::pair<const char*, const char*> marks[] = {
      {"qwen2-vl", "<|image_pad|>"}, {"idefics3", "<image>"}, {"llava", "<image>"}};
  for (const auto& [name, mark] : marks) {
    const Seeing seeing(FamilyNamed(name));
    for (const bool as_content : {false, true}) {
      std::vector<ChatMessage> messages = {{"user", ""}};
      if (as_content) {
        messages[0].content = std::string("a ") + mark;
      } else {
        messages[0].parts = {{.text = std::string("a ") + mark}};
      }
      const auto prompt = seeing.Build(messages, {});
      ASSERT_EQ(FieldViolations(prompt.status()).size(), 1u) << prompt.status();
      EXPECT_EQ(FieldViolations(prompt.status())[0].field, "messages");
    }
  }
}

TEST(PromptBuilder, TextsThatMarkAnImageInPiecesAreRefused) {
  const Seeing seeing(FamilyNamed("qwen2-vl"));
  const std::vector<ChatMessage> messages = {{"user", "", {{.text = "<|image"}, {.text = "_pad|>"}}}};
  const auto prompt = seeing.Build(messages, {});
  ASSERT_EQ(FieldViolations(prompt.status()).size(), 1u) << prompt.status();
  EXPECT_EQ(FieldViolations(prompt.status())[0].field, "messages");
}

TEST(PromptBuilder, ATemplateThatLosesAnImageIsTold) {
  json family = FamilyNamed("qwen2-vl");
  family["tokenizer_config"]["chat_template"] = "{% for m in messages %}{{ m.role }}{% endfor %}";
  const Seeing seeing(family);
  const std::vector<ChatMessage> messages = {{"user", "", {{.image = true}}}};
  EXPECT_TRUE(absl::IsInternal(seeing.Build(messages, {*seeing.processor->Plan(16, 16)}).status()));
  family["tokenizer_config"].erase("chat_template");
  EXPECT_TRUE(absl::IsFailedPrecondition(Seeing(family).Build(messages, {}).status()));
}

TEST(PromptBuilder, ATextModelReadsTheTextOfAllParts) {
  json family = FamilyNamed("qwen2-vl");
  family["tokenizer_config"]["chat_template"] = "{% for m in messages %}{{ m.role }}: {{ m.content }};{% endfor %}";
  const Seeing seeing(family);
  const PromptBuilder builder(*seeing.text);
  const std::vector<ChatMessage> parts = {{"user", "", {{.text = "a "}, {.text = "b"}}}};
  const std::vector<ChatMessage> content = {{"user", "a b"}};
  EXPECT_EQ(*builder.Render(parts, {}), "user: a b;");
  const auto prompt = builder.Build(parts, {}, {}, std::vector<std::string>{"yes", "no"});
  ASSERT_TRUE(prompt.ok()) << prompt.status();
  EXPECT_EQ(prompt->tokens, builder.Build(content, {}, {})->tokens);
  EXPECT_EQ(prompt->tokens, *seeing.text->EncodeChat(content, {}));
  EXPECT_EQ(prompt->choices.size(), 2U);
  EXPECT_TRUE(prompt->positions.positions.empty());
  EXPECT_EQ(builder.image_token(), -1);
}

TEST(PromptBuilder, ATextModelTakesNoImages) {
  const Seeing seeing(FamilyNamed("qwen2-vl"));
  const PreparedImage image = *seeing.processor->Plan(16, 16);
  const PreparedImage* const images[] = {&image};
  const ChatMessage turn = UserTurn(1, "what?");
  EXPECT_TRUE(absl::IsFailedPrecondition(PromptBuilder(*seeing.text).Build({&turn, 1}, images, {}).status()));
}

TEST(PromptBuilder, ContentIsOnePartForAVisionLanguageModel) {
  const Seeing seeing(FamilyNamed("qwen2-vl"));
  const auto content = seeing.Build(std::vector<ChatMessage>{{"user", "what?"}}, {});
  const auto part = seeing.Build(std::vector<ChatMessage>{UserTurn(0, "what?")}, {});
  ASSERT_TRUE(content.ok()) << content.status();
  EXPECT_EQ(content->tokens, part->tokens);
}

}  // namespace
}  // namespace gwq
