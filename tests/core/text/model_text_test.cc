#include "core/text/model_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "tests/core/text/goldens.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Files = std::map<std::string, std::string>;

// Letters a to e; <s> 5 and </s> 6 are special, and <s> goes before every text.
constexpr char kTokenizer[] =
    R"({"version":"1.0","added_tokens":[{"id":5,"content":"<s>","single_word":false,"lstrip":false,"rstrip":false,)"
    R"("normalized":false,"special":true},{"id":6,"content":"</s>","single_word":false,"lstrip":false,"rstrip":false,)"
    R"("normalized":false,"special":true}],"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":)"
    R"({"id":"<s>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[{"Sequence":{"id":"A","type_id":0}},)"
    R"({"Sequence":{"id":"B","type_id":1}}],"special_tokens":{"<s>":{"id":"<s>","ids":[5],"tokens":["<s>"]}}},)"
    R"("model":{"type":"BPE","vocab":{"a":0,"b":1,"c":2,"d":3,"e":4,"<s>":5,"</s>":6},"merges":[]}})";

Files With(Files more) {
  more.emplace("tokenizer.json", kTokenizer);
  return more;
}

const ModelText& Load(std::unique_ptr<const ModelText>& place, const Files& files) {
  auto text = ModelText::Load(files);
  EXPECT_TRUE(text.ok()) << text.status();
  place = *std::move(text);
  return *place;
}

std::string RenderOne(const ModelText& text) {
  const std::vector<ChatMessage> messages = {{"user", "ab"}};
  return text.chat_template()->Render(messages, {}).value();
}

TEST(ModelText, NeedsOnlyATokenizer) {
  std::unique_ptr<const ModelText> place;
  const ModelText& text = Load(place, With({}));
  EXPECT_EQ(text.chat_template(), nullptr);
  EXPECT_THAT(text.stop_ids(), IsEmpty());
  EXPECT_EQ(text.bos_id(), std::nullopt);
  EXPECT_FALSE(text.adds_bos());
  EXPECT_TRUE(absl::IsFailedPrecondition(text.EncodeChat({}, {}).status()));
  const auto none = ModelText::Load({});
  ASSERT_EQ(FieldViolations(none.status()).size(), 1u);
  EXPECT_EQ(FieldViolations(none.status())[0].field, "tokenizer.json");
}

TEST(ModelText, ReadsSpecialTokensAsTextOrObject) {
  std::unique_ptr<const ModelText> place;
  const ModelText& text = Load(
      place,
      With(
          {{"tokenizer_config.json",
            R"({"bos_token":{"content":"<s>"},"eos_token":"</s>","chat_template":"{{ bos_token }}{{ eos_token }}"})"}}));
  EXPECT_EQ(text.bos_id(), 5);
  EXPECT_TRUE(text.adds_bos());
  EXPECT_THAT(text.stop_ids(), ElementsAre(6));
  EXPECT_EQ(RenderOne(text), "<s></s>");
}

TEST(ModelText, SpecialTokensMapFillsWhatTheConfigLacks) {
  std::unique_ptr<const ModelText> place;
  const ModelText& text =
      Load(place, With({{"tokenizer_config.json", R"({"bos_token":null})"},
                        {"special_tokens_map.json", R"({"bos_token":"<s>","eos_token":{"content":"</s>"}})"}}));
  EXPECT_EQ(text.bos_id(), std::nullopt) << "null in the config means none";
  EXPECT_THAT(text.stop_ids(), ElementsAre(6));
}

TEST(ModelText, TakesTheTemplateFileBeforeTheField) {
  std::unique_ptr<const ModelText> place;
  const Files field = With({{"tokenizer_config.json", R"({"chat_template":"field"})"}});
  EXPECT_EQ(RenderOne(Load(place, field)), "field");
  Files both = field;
  both["chat_template.jinja"] = "file {{ messages[0].content }}";
  EXPECT_EQ(RenderOne(Load(place, both)), "file ab");
  Files of_processor = field;
  of_processor["chat_template.json"] = R"({"chat_template":"processor"})";
  EXPECT_EQ(RenderOne(Load(place, of_processor)), "processor");
  of_processor["chat_template.json"] = R"({"chat_template":7})";
  EXPECT_FALSE(ModelText::Load(of_processor).ok());
}

TEST(ModelText, TakesTheDefaultOfNamedTemplates) {
  std::unique_ptr<const ModelText> place;
  const auto config = [](const std::string& list) {
    return With({{"tokenizer_config.json", "{\"chat_template\":" + list + "}"}});
  };
  EXPECT_EQ(RenderOne(Load(place, config(R"([{"name":"rag","template":"R"},{"name":"default","template":"D"}])"))),
            "D");
  EXPECT_EQ(RenderOne(Load(place, config(R"([{"name":"rag","template":"R"}])"))), "R");
  EXPECT_FALSE(ModelText::Load(config(R"([{"name":"a","template":"A"},{"name":"b","template":"B"}])")).ok());
  EXPECT_FALSE(ModelText::Load(config(R"([{"name":"default"}])")).ok());
  EXPECT_FALSE(ModelText::Load(config("7")).ok());
}

TEST(ModelText, StopIdsAreOfTheGenerationConfigElseOfTheConfig) {
  std::unique_ptr<const ModelText> place;
  EXPECT_THAT(Load(place, With({{"config.json", R"({"eos_token_id":3})"}})).stop_ids(), ElementsAre(3));
  EXPECT_THAT(Load(place, With({{"config.json", R"({"text_config":{"eos_token_id":[4,2,4]}})"}})).stop_ids(),
              ElementsAre(2, 4));
  EXPECT_THAT(Load(place, With({{"config.json", R"({"eos_token_id":3})"},
                                {"generation_config.json", R"({"eos_token_id":[1,0]})"},
                                {"tokenizer_config.json", R"({"eos_token":"</s>"})"}}))
                  .stop_ids(),
              ElementsAre(0, 1, 6));
}

TEST(ModelText, NamesTheFileThatIsMalformed) {
  const std::map<std::string, std::string> bad = {
      {"tokenizer_config.json", "{"},
      {"special_tokens_map.json", "[]"},
      {"generation_config.json", R"({"eos_token_id":"x"})"},
      {"config.json", R"({"eos_token_id":-1})"},
      {"chat_template.jinja", "{% if %}"},
      {"tokenizer.json", "{}"},
  };
  for (const auto& [name, bytes] : bad) {
    Files files = With({});
    files[name] = bytes;
    const auto text = ModelText::Load(files);
    EXPECT_TRUE(absl::IsInvalidArgument(text.status())) << name;
    ASSERT_EQ(FieldViolations(text.status()).size(), 1u);
    const std::string field = FieldViolations(text.status())[0].field;
    EXPECT_THAT(field, HasSubstr(name == "chat_template.jinja" ? "chat_template" : name));
  }
}

// Each would overflow the stack of whoever copies or prints the tree.
TEST(ModelText, RefusesJsonThatIsNestedWithoutEnd) {
  const std::string deep = Repeat("[", 200'000) + Repeat("]", 200'000);
  for (const auto& [name, key] : Files{{"tokenizer_config.json", "chat_template"},
                                       {"special_tokens_map.json", "eos_token"},
                                       {"chat_template.json", "chat_template"},
                                       {"generation_config.json", "eos_token_id"},
                                       {"config.json", "text_config"}}) {
    EXPECT_THAT(ModelText::Load(With({{name, "{\"" + key + "\":" + deep + "}"}})), FailsAt(name));
  }
}

TEST(ModelText, RefusesTruncatedFilesWhereverTheyAreCut) {
  const std::string whole = R"({"eos_token":"</s>","chat_template":[{"name":"default","template":"\u00e9"}]})";
  EXPECT_TRUE(ModelText::Load(With({{"tokenizer_config.json", whole}})).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THAT(ModelText::Load(With({{"tokenizer_config.json", whole.substr(0, size)}})),
                FailsAt("tokenizer_config.json"))
        << size;
  }
}

TEST(ModelText, StopIdsAreNumbersThatAnIdCanBe) {
  const auto load = [](const std::string& value) {
    return ModelText::Load(With({{"generation_config.json", "{\"eos_token_id\":" + value + "}"}}));
  };
  for (const char* value : {"2147483648", "-1", "1.0", "true", "\"5\"", "[1,[2]]", "{}", "18446744073709551615"}) {
    const auto refused = load(value);
    EXPECT_THAT(refused, FailsAt("generation_config.json: eos_token_id")) << value;
  }
  for (const char* value : {"null", "[]"}) EXPECT_THAT((*load(value))->stop_ids(), IsEmpty());
  EXPECT_THAT((*load("[2147483647,0]"))->stop_ids(), ElementsAre(0, 2147483647));
  EXPECT_THAT(std::string(MessageOf(load("-7").status())), HasSubstr("a list of them: -7"));
}

TEST(ModelText, AnEosTokenThatIsNoTokenEndsNothing) {
  std::unique_ptr<const ModelText> place;
  const ModelText& text = Load(place, With({{"tokenizer_config.json", R"({"bos_token":"<b>","eos_token":"<none>"})"},
                                            {"generation_config.json", R"({"eos_token_id":[4,3]})"}}));
  EXPECT_EQ(text.eos_id(), 4) << "the first of the configuration, as it stands there";
  EXPECT_THAT(text.stop_ids(), ElementsAre(3, 4));
  EXPECT_EQ(text.bos_id(), std::nullopt);
  EXPECT_FALSE(text.adds_bos()) << "what Encode adds has another name";
}

TEST(ModelText, EncodesAConversationWithoutASecondBos) {
  std::unique_ptr<const ModelText> place;
  const ModelText& text = Load(place, With({{"tokenizer_config.json", R"({"bos_token":"<s>"})"},
                                            {"chat_template.jinja", "{{ bos_token }}{{ messages[0].content }}"}}));
  const std::vector<ChatMessage> messages = {{"user", "ab"}};
  EXPECT_THAT(text.EncodeChat(messages, {}).value(), ElementsAre(5, 0, 1));
}

TEST(ModelText, ReadsSmolLm2) {
  EXPECT_THAT(SmolLm2().stop_ids(), ElementsAre(2));
  EXPECT_EQ(SmolLm2().bos_id(), 1);
  EXPECT_FALSE(SmolLm2().adds_bos());
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  const auto ids = SmolLm2().EncodeChat(messages, {});
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->front(), 1);
}

}  // namespace
}  // namespace gwq
