// Conversations that do not fit their images or their limits, and texts that try to pass for what they are not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/core/prompt/seeing.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using testing::FailsAt;
using testing::FamilyNamed;
using ::testing::Ge;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::Seeing;

std::string Text(const absl::StatusOr<Prompt>& prompt) { return std::string(MessageOf(prompt.status())); }

class PromptFaultTest : public ::testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] std::vector<PreparedImage> Images(size_t count) const {
    return std::vector<PreparedImage>(count, *seeing_.processor->Plan(32, 32));
  }
  [[nodiscard]] absl::StatusOr<Prompt> Ask(size_t parts, size_t images, const std::string& text,
                                           std::span<const std::string> choices = {},
                                           const EncodeLimits& limits = {}) const {
    const ChatMessage turn = UserTurn(parts, text);
    return seeing_.Build({&turn, 1}, Images(images), /*prompt=*/true, choices, limits);
  }

  const Seeing seeing_ = Seeing(FamilyNamed(GetParam()));
};

TEST_P(PromptFaultTest, AsManyImagesAsPartsOrNone) {
  EXPECT_THAT(Ask(2, 2, "what?"), IsOk());
  EXPECT_THAT(Ask(2, 1, "what?"), FailsAt("messages"));
  EXPECT_THAT(Text(Ask(2, 1, "what?")), HasSubstr("2 times for 1 images"));
  EXPECT_THAT(Ask(1, 2, "what?"), HasCode(absl::StatusCode::kInternal));
}

TEST_P(PromptFaultTest, AMarkIsFoundInEveryTextOfEveryMessage) {
  const std::string mark(seeing_.processor->marker());
  const std::vector<ChatMessage> conversations[] = {
      {{"user" + mark, "", {{.text = "a"}}}},
      {{"system", mark}, UserTurn(0, "a")},
      {UserTurn(0, "a"), {"assistant", "b"}, {"user", "", {{.text = "a"}, {.text = mark + mark}}}}};
  for (const std::vector<ChatMessage>& messages : conversations) {
    const auto prompt = seeing_.Build(messages, {});
    EXPECT_THAT(prompt, FailsAt("messages"));
    EXPECT_THAT(Text(prompt), AllOf(HasSubstr("'" + mark + "'"), HasSubstr("leave it out")));
  }
}

TEST_P(PromptFaultTest, PiecesOfAMarkDoNotStandInForAnImage) {
  const std::string mark(seeing_.processor->marker());
  const ChatMessage turn{"user", "", {{.image = true}, {.text = mark.substr(0, 3)}, {.text = mark.substr(3)}}};
  const auto prompt = seeing_.Build({&turn, 1}, Images(1));
  // A template that writes texts apart (LLaVA's) keeps the pieces apart.
  if (prompt.ok()) {
    EXPECT_EQ(prompt->image_rows, Images(1)[0].image_tokens);
  } else {
    EXPECT_THAT(prompt, FailsAt("messages"));
  }
}

TEST_P(PromptFaultTest, TheLimitOfTokensIsThePromptsAndTheLimitOfBytesTheChoices) {
  const std::vector<std::string> choices = {"red", "blue"};
  const std::string question(3000, 'w');
  EXPECT_THAT(Ask(1, 1, question, choices), IsOk());
  EXPECT_THAT(Ask(1, 1, question, choices, {.max_prompt_tokens = 100}), FailsAt("messages"));
  EXPECT_THAT(Ask(1, 1, question, choices, {.max_bytes = 10}), FailsAt("choices"));
  EXPECT_THAT(Ask(1, 1, question, {}, {.max_bytes = 10}), IsOk()) << "without choices nothing is encoded for them";
}

TEST_P(PromptFaultTest, ChoicesStandBehindTheWholePrompt) {
  const std::vector<std::string> choices = {"red", "bl ue", "\U0001F600"};
  const auto prompt = Ask(1, 1, "what?", choices);
  ASSERT_THAT(prompt, IsOk());
  EXPECT_EQ(prompt->tokens, Ask(1, 1, "what?")->tokens) << "choices do not change the prompt";
  ASSERT_EQ(prompt->choices.size(), choices.size());
  for (size_t i = 0; i < choices.size(); ++i) {
    EXPECT_THAT(prompt->choices[i], Each(Ge(0)));
    const std::string text = seeing_.text->tokenizer().Decode(prompt->choices[i], false).value();
    EXPECT_TRUE(text == choices[i] || text == " " + choices[i]) << text;
  }
}

TEST_P(PromptFaultTest, IllFormedTextIsTheMessagesFault) {
  EXPECT_THAT(Ask(1, 1, "a\xff"), FailsAt("messages"));
  EXPECT_THAT(Ask(1, 1, "a", std::vector<std::string>{"good", "\xc3"}), FailsAt("choices[1]"));
}

INSTANTIATE_TEST_SUITE_P(Families, PromptFaultTest, ::testing::Values("qwen2-vl", "qwen2.5-vl", "idefics3", "llava"));

TEST(PromptFault, ARoleThatTheTemplateTurnsIntoAMarkIsNoImage) {
  const Seeing seeing(FamilyNamed("idefics3"));
  // Its template writes roles with a capital, the rest small.
  const std::vector<ChatMessage> messages = {{"<IMAGE>", "", {{.text = "a"}}}};
  EXPECT_THAT(seeing.Build(messages, {}), FailsAt("messages"));
}

TEST(PromptFault, OneRowForEachTokenOfEachImageInTheirOrder) {
  const Seeing seeing(FamilyNamed("qwen2-vl"));
  const std::vector<PreparedImage> images = {*seeing.processor->Plan(64, 32), *seeing.processor->Plan(32, 96)};
  const ChatMessage turn = UserTurn(2, "which?");
  const auto prompt = seeing.Build({&turn, 1}, images);
  ASSERT_THAT(prompt, IsOk());
  std::vector<int32_t> rows;
  std::ranges::copy_if(prompt->tokens, std::back_inserter(rows), [](int32_t token) { return token < 0; });
  ASSERT_EQ(std::ssize(rows), images[0].image_tokens + images[1].image_tokens);
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(~rows[i], static_cast<int32_t>(i));
}

TEST(UserTurn, HasItsImagesBeforeItsText) {
  const ChatMessage turn = UserTurn(2, "what?");
  ASSERT_EQ(turn.parts.size(), 3U);
  EXPECT_TRUE(turn.parts[0].image && turn.parts[1].image && !turn.parts[2].image);
  EXPECT_EQ(turn.parts[2].text, "what?");
  EXPECT_EQ(turn.content, "");
  EXPECT_EQ(UserTurn(0, "").parts.size(), 1U) << "a text that is empty is a text";
}

TEST(PromptFault, ATextModelWithoutATemplateSaysWhatToSend) {
  nlohmann::json family = FamilyNamed("qwen2-vl");
  family["tokenizer_config"].erase("chat_template");
  const Seeing seeing(family);
  const ChatMessage turn{"user", "a"};
  const PromptBuilder builder(*seeing.text);
  for (const absl::Status& status :
       {builder.Render({&turn, 1}, {}).status(), builder.Build({&turn, 1}, {}, {}).status()}) {
    EXPECT_THAT(status, HasCode(absl::StatusCode::kFailedPrecondition));
    EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("no chat template: send"));
  }
}

}  // namespace
}  // namespace gwq
