#include "core/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "tests/core/text/goldens.h"

namespace gwq {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

constexpr TemplateTokens kNoTokens = {};

std::optional<std::string> Token(const json& tokens, const char* name) {
  return tokens.contains(name) ? std::optional<std::string>(tokens[name].get<std::string>()) : std::nullopt;
}

// 2024-02-09 05:07:03, a Friday: what make_text.py makes of datetime.now().
std::tm GoldenNow() {
  std::tm now = {};
  now.tm_year = 124;
  now.tm_mon = 1;
  now.tm_mday = 9;
  now.tm_hour = 5;
  now.tm_min = 7;
  now.tm_sec = 3;
  now.tm_wday = 5;
  now.tm_yday = 39;
  return now;
}

void ExpectCase(const ChatTemplate& chat_template, const json& golden) {
  SCOPED_TRACE(golden.dump().substr(0, 300));
  const std::vector<ChatMessage> messages = Messages(golden["messages"]);
  const auto text = chat_template.Render(messages, {.add_generation_prompt = golden["prompt"], .now = GoldenNow()});
  if (golden.contains("error")) {
    EXPECT_TRUE(absl::IsInvalidArgument(text.status())) << text.status();
  } else {
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_EQ(*text, golden["rendered"].get<std::string>());
  }
}

TEST(ChatTemplateGolden, RendersDialoguesWithSmolLm2sTemplate) {
  ASSERT_NE(SmolLm2().chat_template(), nullptr);
  const json golden = ReadGolden("smollm2.json");
  for (const json& row : golden["dialogues"]) ExpectCase(*SmolLm2().chat_template(), row);
}

TEST(ChatTemplateGolden, RendersAsTransformers) {
  const json golden = ReadGolden("templates.json");
  for (const json& entry : golden["templates"]) {
    SCOPED_TRACE(entry["name"].get<std::string>() + ": " + entry["template"].get<std::string>().substr(0, 200));
    const json& tokens = entry["tokens"];
    const auto chat_template =
        ChatTemplate::Compile(entry["template"].get<std::string>(),
                              {.bos_token = Token(tokens, "bos_token"), .eos_token = Token(tokens, "eos_token")});
    ASSERT_TRUE(chat_template.ok()) << chat_template.status();
    for (const json& row : entry["cases"]) ExpectCase(**chat_template, row);
  }
}

TEST(ChatTemplate, RefusesMalformedSources) {
  for (const char* source :
       {"{%", "{{", "{{ 1 + }}", "{% if %}", "{% for x in %}{% endfor %}", "{% endif %}", "{% nonsense %}", "{{ 'a }}",
        "{% if true %}", "{# open", "{{ (1 }}", "{% macro %}", "\xff", "{% set = 1 %}", "{{ 1 | }}"}) {
    const auto compiled = ChatTemplate::Compile(source, kNoTokens);
    EXPECT_TRUE(absl::IsInvalidArgument(compiled.status())) << source << compiled.status();
    ASSERT_EQ(FieldViolations(compiled.status()).size(), 1u);
    EXPECT_EQ(FieldViolations(compiled.status())[0].field, "chat_template");
  }
  EXPECT_TRUE(absl::IsInvalidArgument(ChatTemplate::Compile(std::string(600 << 10, 'x'), kNoTokens).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(
      ChatTemplate::Compile(Repeat("(", 100000), kNoTokens, {.max_source_bytes = 10}).status()));
  EXPECT_FALSE(ChatTemplate::Compile("{{ " + Repeat("(", 100000) + " }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile(Repeat("{% if a %}", 20000), kNoTokens).ok());
}

// The compiler recurses into expressions and works out constants: neither may end the process.
TEST(ChatTemplate, RefusesSourcesThatCostTheCompilerTooMuch) {
  EXPECT_FALSE(ChatTemplate::Compile("{{ a" + Repeat(".b", 200000) + " }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{{ 'a'" + Repeat("~'a'", 100000) + " }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{{ a" + Repeat("|e", 200000) + " }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{{ " + Repeat("not ", 100000) + "a }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{{ " + Repeat("-", 200000) + "1 }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{{ a" + Repeat(" if b else a", 30000) + " }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{% if a %}" + Repeat("{% elif a %}", 30000) + "{% endif %}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{{ 'x' * 90000000 }}", kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile(Repeat("{{ 'xxxxxxxxxxxxxxxxxxxx' * 2000000 }}", 5000), kNoTokens).ok());
  EXPECT_FALSE(ChatTemplate::Compile("{{ [1] * 90000000 }}", kNoTokens).ok());
  // Within the bounds, the deepest of each kind.
  EXPECT_TRUE(ChatTemplate::Compile("{{ a" + Repeat(".b", 990) + " }}", kNoTokens).ok());
  EXPECT_TRUE(ChatTemplate::Compile("{{ 'a'" + Repeat("~'a'", 990) + " }}", kNoTokens).ok());
  EXPECT_TRUE(ChatTemplate::Compile("{{ '-' * 40 }}", kNoTokens).ok());
}

TEST(ChatTemplate, NamesWhatTheTemplateRefuses) {
  const auto chat_template = ChatTemplate::Compile("{{ raise_exception('roles must alternate') }}", kNoTokens);
  const auto text = (*chat_template)->Render({}, {});
  EXPECT_TRUE(absl::IsInvalidArgument(text.status()));
  EXPECT_THAT(std::string(text.status().message()), HasSubstr("roles must alternate"));
  ASSERT_EQ(FieldViolations(text.status()).size(), 1u);
  EXPECT_EQ(FieldViolations(text.status())[0].field, "messages");
}

TEST(ChatTemplate, RefusesMessagesThatAreNotUtf8) {
  const auto chat_template = ChatTemplate::Compile("{{ messages[0].content }}", kNoTokens);
  const std::vector<ChatMessage> messages = {{"user", "a\xffz"}};
  EXPECT_TRUE(absl::IsInvalidArgument((*chat_template)->Render(messages, {}).status()));
}

// Each would take hours, gigabytes or the stack.
constexpr const char* kHostile[] = {
    "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
    "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s|length "
    "}}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s|length "
    "}}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set x %}{{ ns.s }}{{ ns.s }}{% endset %}{% set ns.s = "
    "x %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s.replace('a', 'aaaa') %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = ns.s|replace('b', ns.s) %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s]|join(ns.s) %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s]|string %}{% endfor %}",
    "{% set ns = namespace(s='ab') %}{% for i in range(100) %}{% set ns.s = [ns.s, ns.s]|tojson %}{% endfor %}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = ns.l + ns.l %}{% endfor %}{{ "
    "ns.l|list|length }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(100) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace(l=[]) %}{% for i in range(100000) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace(l={}) %}{% for i in range(100000) %}{% set ns.l = {'a': ns.l} %}{% endfor %}{{ ns.l }}",
    "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns ~ '' }}",
    "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns }}",
    "{% set l = [1] * 100000000 %}{{ l|list|length }}",
    "{{ 'x' * 1000000000 }}",
    "{{ ('x' * 10000000)|replace('', 'x' * 10000000) }}",
    "{{ range(99999)|join('y' * 100000) }}",
    "{{ 'a\n' * 100000|indent(1000000) }}",
    "{{ ('a\n' * 100000)|indent(1000000) }}",
    "{{ range(99999)|list|tojson(indent=1000000) }}",
    "{{ range(99999)|list|tojson(indent='y' * 1000000) }}",
    "{{ '%1000000000d'|format(1) }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ [1]|batch(1000000000, 0)|list }}",
    "{{ [1]|slice(1000000000)|list }}",
    "{{ 2 ** 100000 ** 1000 }}",
    "{{ range(1000000000)|list }}",
    "{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% include 'a' %}",
    "{% extends 'a' %}",
    "{% block a %}{{ self.a() }}{% endblock %}",
    "{{ ''.__class__.__mro__ }}",
    "{{ debug() }}",
    "{% set ns = namespace(l=[1]) %}{% for i in range(1000000) %}{% set ns.l = ns.l[0:]|reverse|map('upper') %}{% "
    "endfor %}{{ ns.l }}",
    "{% set ns = namespace(l={}) %}{% for i in range(100000) %}{% set ns.l = dict(a=ns.l) %}{% endfor %}{{ ns.l }}",
};

TEST(ChatTemplate, HostileTemplatesEndInAnErrorSoon) {
  for (const char* source : kHostile) {
    SCOPED_TRACE(source);
    const auto chat_template = ChatTemplate::Compile(source, kNoTokens);
    if (!chat_template.ok()) continue;
    const auto start = std::chrono::steady_clock::now();
    const auto text = (*chat_template)->Render({}, {});
    // Generous for sanitizers and a busy machine; unbounded, each would take minutes or the memory of the machine.
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(20));
    EXPECT_TRUE(absl::IsInvalidArgument(text.status()) || absl::IsResourceExhausted(text.status())) << text.status();
  }
}

TEST(ChatTemplate, LongLiteralTextCostsStepsByItsLength) {
  const std::string loop = "{% for i in range(100000) %}" + Repeat("long text. ", 20000) + "{% endfor %}";
  const auto chat_template = ChatTemplate::Compile(loop, kNoTokens);
  ASSERT_TRUE(chat_template.ok());
  EXPECT_TRUE(absl::IsResourceExhausted((*chat_template)->Render({}, {}).status()));
}

TEST(ChatTemplate, LimitsTheLengthOfTheText) {
  const auto chat_template = ChatTemplate::Compile("{{ messages[0].content }}", kNoTokens, {.max_output_bytes = 100});
  std::vector<ChatMessage> messages = {{"user", std::string(60, 'x')}};
  EXPECT_TRUE((*chat_template)->Render(messages, {}).ok());
  messages[0].content = std::string(200, 'x');
  EXPECT_FALSE((*chat_template)->Render(messages, {}).ok());
  const auto doubling = ChatTemplate::Compile("{{ messages[0].content * 3 }}", kNoTokens, {.max_output_bytes = 100});
  messages[0].content = std::string(40, 'x');
  EXPECT_TRUE(absl::IsResourceExhausted((*doubling)->Render(messages, {}).status()));
}

TEST(ChatTemplate, LongConversationsStayWithinTheLimits) {
  const json golden = ReadGolden("templates.json");
  std::vector<ChatMessage> messages;
  for (int i = 0; i < 2000; ++i) messages.push_back({i % 2 == 0 ? "user" : "assistant", std::string(1000, 'x')});
  for (const json& entry : golden["templates"]) {
    const std::string name = entry["name"];
    if (name != "chatml" && name != "qwen" && name != "llama3") continue;
    const auto chat_template = ChatTemplate::Compile(entry["template"].get<std::string>(), {.bos_token = "<s>"});
    const auto text = (*chat_template)->Render(messages, {});
    ASSERT_TRUE(text.ok()) << name << text.status();
    EXPECT_GT(text->size(), 2000u * 1000u);
  }
}

}  // namespace
}  // namespace gwq
