// Which tokens a choice has behind a prompt, and what stands between an answer's head and the answer.
#include "core/text/choice_tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using testing::IsOk;
using Ids = std::vector<int32_t>;

// Byte-level BPE of a few letters that joins a blank with the r behind it; <e> is special.
enum Token : int32_t { kA, kColon, kR, kE, kD, kBlank, kBreak, kBlankR, kSpecial };

std::unique_ptr<const Tokenizer> MakeTokenizer() {
  const nlohmann::json level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  const nlohmann::json special = {{"id", kSpecial},  {"content", "<e>"},    {"single_word", false}, {"lstrip", false},
                                  {"rstrip", false}, {"normalized", false}, {"special", true}};
  const nlohmann::json vocabulary = {{"A", kA},     {":", kColon}, {"r", kR},       {"e", kE},        {"d", kD},
                                     {"Ġ", kBlank}, {"Ċ", kBreak}, {"Ġr", kBlankR}, {"<e>", kSpecial}};
  const nlohmann::json tokenizer = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", nlohmann::json::array({special})},
      {"normalizer", nullptr},
      {"pre_tokenizer", level},
      {"post_processor", nullptr},
      {"decoder", level},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", nlohmann::json::array({"Ġ r"})}}},
  };
  auto loaded = Tokenizer::Load(tokenizer.dump());
  EXPECT_THAT(loaded, IsOk());
  return *std::move(loaded);
}

TEST(ChoiceTokens, AreThoseThatTheWholeTextHasBehindThePrompt) {
  const auto tokenizer = MakeTokenizer();
  const std::vector<std::string> choices = {" red", "red", " Ad"};
  const auto encoded = EncodeChoices(*tokenizer, "A:", choices, false);
  ASSERT_THAT(encoded, IsOk());
  EXPECT_THAT(encoded->prompt, ElementsAre(kA, kColon));
  EXPECT_THAT(encoded->choices,
              ElementsAre(ElementsAre(kBlankR, kE, kD), ElementsAre(kR, kE, kD), ElementsAre(kBlank, kA, kD)));
}

TEST(ChoiceTokens, ABlankThatIsJoinedWithAChoiceBelongsToAllOfThem) {
  const auto tokenizer = MakeTokenizer();
  const std::vector<std::string> choices = {"Ad", "red"};
  const auto encoded = EncodeChoices(*tokenizer, "A: ", choices, false);
  ASSERT_THAT(encoded, IsOk());
  EXPECT_THAT(encoded->prompt, ElementsAre(kA, kColon));
  EXPECT_THAT(encoded->choices, ElementsAre(ElementsAre(kBlank, kA, kD), ElementsAre(kBlankR, kE, kD)));
}

TEST(ChoiceTokens, ALineBreakThatIsNotJoinedStaysThePrompts) {
  const auto tokenizer = MakeTokenizer();
  const std::vector<std::string> choices = {"red"};
  const auto encoded = EncodeChoices(*tokenizer, "A:\n", choices, false);
  ASSERT_THAT(encoded, IsOk());
  EXPECT_THAT(encoded->prompt, ElementsAre(kA, kColon, kBreak));
  EXPECT_THAT(encoded->choices, ElementsAre(ElementsAre(kR, kE, kD)));
}

TEST(ChoiceTokens, WhatStandsBeforeASpecialTokenIsEncodedOnce) {
  const auto tokenizer = MakeTokenizer();
  const std::string head = "A red: A red<e>A:<e>";
  const std::vector<std::string> choices = {"red", " red"};
  for (const std::string& prompt : {head, head + " A: ", head + "A:\n", head + " "}) {
    const auto encoded = EncodeChoices(*tokenizer, prompt, choices, false, {.max_bytes = 32});
    ASSERT_THAT(encoded, IsOk()) << prompt;
    for (size_t i = 0; i < choices.size(); ++i) {
      Ids both = encoded->prompt;
      both.insert(both.end(), encoded->choices[i].begin(), encoded->choices[i].end());
      EXPECT_EQ(both, tokenizer->Encode(prompt + choices[i], false).value()) << prompt << choices[i];
    }
  }
}

TEST(ChoiceTokens, FaultsAreNamed) {
  const auto tokenizer = MakeTokenizer();
  EXPECT_THAT(EncodeChoices(*tokenizer, "A:", std::vector<std::string>{"red", ""}, false), FailsAt("choices[1]"));
  const std::vector<std::string> choices = {"red", "Ad"};
  EXPECT_THAT(EncodeChoices(*tokenizer, "A:", choices, false, {.max_bytes = 9}), IsOk());
  EXPECT_THAT(EncodeChoices(*tokenizer, "A:", choices, false, {.max_bytes = 8}), FailsAt("choices"));
  const auto none = EncodeChoices(*tokenizer, "A:", {}, false);
  ASSERT_THAT(none, IsOk());
  EXPECT_THAT(none->prompt, ElementsAre(kA, kColon));
  EXPECT_TRUE(none->choices.empty());
}

std::vector<std::string> Continue(const std::string& source, bool parts, const std::vector<std::string>& choices) {
  const auto compiled = ChatTemplate::Compile(source, {});
  EXPECT_THAT(compiled, IsOk());
  ChatMessage message{"user", parts ? "" : "why?"};
  if (parts) message.parts = {{.image = true}, {.text = "why?"}};
  const auto rendered = (*compiled)->Render({&message, 1}, {});
  EXPECT_THAT(rendered, IsOk());
  return AnswerContinuations(**compiled, {&message, 1}, *rendered, choices, {});
}

// As SmolVLM, LLaVA 1.5, Qwen2-VL and Mistral write them.
constexpr char kSmolVlm[] =
    "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}{% if message['content'][0]['type'] == "
    "'image' %}{{ ':' }}{% else %}{{ ': ' }}{% endif %}{% for line in message['content'] %}{% if line['type'] == "
    "'text' "
    "%}{{ line['text'] }}{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}";
constexpr char kLlava[] =
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}{% for content in message['content'] %}{% if "
    "content['type'] == 'image' %}<image>\n{% else %}{{ content['text'] + ' ' }}{% endif %}{% endfor %}{% endfor %}{% "
    "if "
    "add_generation_prompt %}ASSISTANT:{% endif %}";
constexpr char kQwen[] =
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor "
    "%}{% if "
    "add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
constexpr char kMistral[] =
    "{% for message in messages %}{% if message['role'] == 'user' %}[INST] {{ message['content'] }} [/INST]{% else %} "
    "{{ message['content'] }}</s>{% endif %}{% endfor %}";
constexpr char kTight[] =
    "{% for message in messages %}{% if message['role'] == 'user' %}<|user|>{{ message['content'] }}<|assistant|>{% "
    "else "
    "%}{{ message['content'] }}</s>{% endif %}{% endfor %}";

TEST(AnswerContinuations, BeginAsTheTemplateWritesAnAnswer) {
  const std::vector<std::string> choices = {"red", "a circle"};
  EXPECT_THAT(Continue(kSmolVlm, true, choices), ElementsAre(" red", " a circle"));
  EXPECT_THAT(Continue(kLlava, true, choices), ElementsAre(" red", " a circle"));
  EXPECT_THAT(Continue(kQwen, false, choices), ElementsAre("red", "a circle"));
  EXPECT_THAT(Continue(kMistral, false, choices), ElementsAre(" red", " a circle"));
  EXPECT_THAT(Continue(kTight, false, choices), ElementsAre("red", "a circle"));
}

TEST(AnswerContinuations, WhiteSpaceOfTheChoiceStandsInsteadOfTheTemplates) {
  EXPECT_THAT(Continue(kSmolVlm, true, {" red", "\nred"}), ElementsAre(" red", "\nred"));
}

TEST(AnswerContinuations, ATemplateWithoutAnswersGetsABlankUnlessItEndsInWhiteSpace) {
  constexpr char kRefuses[] =
      "{% for message in messages %}{% if message['role'] != 'user' %}{{ raise_exception('no') }}{% endif %}"
      "{{ message['content'] }}{% endfor %}";
  constexpr char kThinks[] = "{% for message in messages %}{{ message['content'] }}\n<think>{% endfor %}";
  EXPECT_THAT(Continue(kRefuses, false, {"red"}), ElementsAre(" red"));
  EXPECT_THAT(Continue(std::string(kRefuses) + "{{ '\\n' }}", false, {"red"}), ElementsAre("red"));
  EXPECT_THAT(Continue(std::string(kThinks) + "{% if add_generation_prompt %}A: {% endif %}", false, {"red"}),
              ElementsAre("red"));
}

}  // namespace
}  // namespace gwq
