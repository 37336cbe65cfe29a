// What a template sees of a conversation, and the limits that a conversation meets.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "core/text/chat_template.h"
#include "tests/core/text/goldens.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

class TemplateInputTest : public ::testing::Test {
 protected:
  void Compile(std::string_view source, const TemplateLimits& limits = {}, const TemplateTokens& tokens = {}) {
    auto compiled = ChatTemplate::Compile(source, tokens, limits);
    ASSERT_THAT(compiled, IsOk());
    template_ = *std::move(compiled);
  }
  absl::StatusOr<std::string> Render(const std::vector<ChatMessage>& messages, const RenderOptions& options = {}) {
    return template_->Render(messages, options);
  }
  // What the template makes of one turn of a user.
  std::string Say(const std::string& content) { return Render({{"user", content}}).value(); }

  std::unique_ptr<const ChatTemplate> template_;
};

TEST_F(TemplateInputTest, EveryCharacterOfATextArrivesAsItIs) {
  Compile("{{ messages[0].content }}");
  std::string all;
  for (int byte = 0; byte < 0x80; ++byte) {
    const std::string text = fmt::format("a{}b", static_cast<char>(byte));
    EXPECT_EQ(Say(text), text) << byte;
    all += text;
  }
  EXPECT_EQ(Say(all), all);
  for (const char* text : {"\u00e9\u20ac\U0001F600", "\u2028\u2029\ufeff", "\\u0041\\n", "\"},{\"role\":\"system"}) {
    EXPECT_EQ(Say(text), text);
  }
}

TEST_F(TemplateInputTest, ATextIsNeverTakenForATemplate) {
  Compile("{{ messages[0].content }}");
  for (const char* text : {"{{ 7 * 7 }}", "{% for x in y %}", "{# gone #}", "{% raw %}", "{{", "<&>'\""}) {
    EXPECT_EQ(Say(text), text);
  }
}

TEST_F(TemplateInputTest, PartsAreAListInWhichAnImageHasNoText) {
  Compile("{% for p in messages[0].content %}{{ p.type }}:{{ p.text is defined }}:{{ p.text }};{% endfor %}");
  const ChatMessage message{"user", "not seen", {{.image = true}, {.text = ""}, {.text = "a\"b"}}};
  EXPECT_EQ(Render({message}).value(), "image:False:;text:True:;text:True:a\"b;");
}

TEST_F(TemplateInputTest, ATokenThatTheModelLacksIsUndefined) {
  const char* const source = "{{ bos_token is defined }} {{ eos_token }} {{ tools is none }} {{ documents is none }}";
  Compile(source, {}, {.eos_token = "<\"e\\>"});
  EXPECT_EQ(Say(""), "False <\"e\\> True True");
  Compile(source, {}, {.bos_token = ""});
  EXPECT_EQ(Say(""), "True  True True") << "an empty token is one";
}

TEST_F(TemplateInputTest, RolesContentsAndPartsCountTogether) {
  Compile("ok", {.max_output_bytes = 12});
  const ChatMessage content{"user", "12"}, parts{"user", "", {{.text = "1"}, {.image = true}, {.text = "2"}}};
  EXPECT_THAT(Render({content, parts}), IsOk());
  ChatMessage longer = parts;
  longer.parts.push_back({.text = "3"});
  const auto refused = Render({content, longer});
  EXPECT_THAT(refused, FailsAt("messages"));
  EXPECT_THAT(std::string(MessageOf(refused.status())), HasSubstr("more than 12 bytes"));
}

TEST_F(TemplateInputTest, IllFormedTextIsRefusedWhereverItStands) {
  Compile("ok");
  const std::string ill = "a\xed\xa0\x80";  // half of a surrogate pair
  EXPECT_THAT(Render({{ill, ""}}), FailsAt("messages"));
  EXPECT_THAT(Render({{"user", ill}}), FailsAt("messages"));
  EXPECT_THAT(Render({{"user", "", {{.text = "good"}, {.text = ill}}}}), FailsAt("messages"));
}

TEST_F(TemplateInputTest, ALimitThatIsReachedIsNamed) {
  const auto says = [&](const char* what) {
    const auto text = Render({{"user", "12345678"}});
    EXPECT_THAT(text, HasCode(absl::StatusCode::kResourceExhausted));
    EXPECT_THAT(std::string(MessageOf(text.status())), HasSubstr(what));
  };
  Compile("{% for i in range(100) %}{{ i }}{% endfor %}", {.max_steps = 50});
  says("more than 50 steps");
  Compile("{% for i in range(100) %}{{ messages[0].content }}{% endfor %}", {.max_output_bytes = 100});
  says("800 bytes, the limit is 100");
  Compile("{% for i in range(100) %}{{ messages[0].content }}{% endfor %}", {.max_work_bytes = 500});
  says("more than 500 bytes of values");
  Compile("{{ messages[0].content * 20 }}", {.max_work_bytes = 1000});
  says("a value of more than 125 bytes");
}

TEST_F(TemplateInputTest, ARenderingThatFailedLeavesTheTemplateWhole) {
  Compile("{{ messages[0].content * 3 }}", {.max_output_bytes = 30});
  EXPECT_THAT(Render({{"user", std::string(20, 'x')}}), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Render({}), FailsAt("messages"));
  EXPECT_EQ(Say("ab"), "ababab") << "each rendering has its own budget";
}

TEST_F(TemplateInputTest, TheTimeIsTheCallersAndItsTextIsBounded) {
  RenderOptions options;
  options.now.tm_year = 100;
  options.now.tm_mday = 29;
  options.now.tm_mon = 1;
  Compile("{{ strftime_now('%Y-%m-%d %H') }}|{{ strftime_now('') }}|{{ strftime_now('100%% é') }}");
  EXPECT_EQ(Render({}, options).value(), "2000-02-29 00||100% é");
  Compile("{{ strftime_now('%1000000000Y') }}");
  EXPECT_EQ(Render({}, options).value(), "") << "a width that would be a gigabyte";
  Compile("{{ strftime_now(messages[0].content) }}");
  EXPECT_THAT(Render({{"user", std::string("%Y\0%Y", 5)}}, options), FailsAt("messages"));
  EXPECT_EQ(Render({{"user", std::string(5000, 'x')}}, options).value(), "");
}

TEST_F(TemplateInputTest, SeveralThreadsRenderAtOnceEachItsOwn) {
  Compile(
      "{% set ns = namespace(s='') %}{% for m in messages %}{% set ns.s = ns.s ~ m.content %}{% endfor %}{{ ns.s }}",
      {.max_work_bytes = 4096});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([this, text = std::string(20, static_cast<char>('a' + i))] {
      // A budget that the threads shared would be spent after a few renderings.
      for (int round = 0; round < 100; ++round)
        EXPECT_EQ(Render({{"user", text}, {"user", text}}).value(), text + text);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace gwq
