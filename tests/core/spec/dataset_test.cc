#include "core/spec/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using testing::IsOk;

TEST(Dataset, ReadsEveryKindOfLine) {
  const auto items = ParseDataset(
      "{\"context\":\"The sky is\",\"choices\":[\"blue\",\"green\"],\"answer\":0,\"subject\":\"ignored\"}\r\n"
      "\n"
      "{\"question\":\"Which?\",\"image\":\"a/b.png\",\"answer\":\"circle\"}\n"
      "{\"question\":\"Where?\",\"images\":[\"c.jpg\"],\"box\":[1,2.5,30,40]}\n"
      "{\"question\":\"Which?\",\"image\":\"d.png\",\"choices\":[\"red\",\"blue\"],\"answer\":\"blue\"}");
  ASSERT_THAT(items, IsOk());
  ASSERT_EQ(items->size(), 4U);
  EXPECT_EQ((*items)[0].context, "The sky is");
  EXPECT_THAT((*items)[0].choices, ElementsAre("blue", "green"));
  EXPECT_EQ((*items)[0].answer, 0);
  EXPECT_EQ((*items)[1].line, 3) << "an empty line counts, and is no item";
  EXPECT_THAT((*items)[1].images, ElementsAre("a/b.png"));
  EXPECT_THAT((*items)[1].answers, ElementsAre("circle"));
  EXPECT_EQ((*items)[2].box->right, 30);
  EXPECT_EQ((*items)[3].answer, 1) << "an answer that is one of the choices is its index";
  EXPECT_THAT((*items)[0].answers, ElementsAre("blue")) << "and an index is that choice's text";
}

TEST(Dataset, ReadsTheLinesOfACalibration) {
  const auto items = ParseDataset(
      "{\"text\":\"Once upon a time\",\"source\":\"ignored\"}\n"
      "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"\"}]}\n"
      "{\"token_ids\":[1,2147483647]}\n"
      "{\"question\":\"q\",\"image\":\"i.png\",\"answer\":\"a\"}");
  ASSERT_THAT(items, IsOk());
  EXPECT_EQ((*items)[0].text, "Once upon a time");
  EXPECT_EQ((*items)[0].calibration_key(), "text");
  EXPECT_THAT((*items)[1].messages, ElementsAre(ChatTurn{"user", "hi"}, ChatTurn{"assistant", ""}));
  EXPECT_EQ((*items)[1].calibration_key(), "messages");
  EXPECT_THAT((*items)[2].token_ids, ElementsAre(1, 2147483647));
  EXPECT_EQ((*items)[2].calibration_key(), "token_ids");
  EXPECT_EQ((*items)[3].calibration_key(), "");
}

TEST(Dataset, AnEvaluationRefusesTheLinesOfACalibrationByTheirKey) {
  const std::vector<std::pair<std::string, std::string>> lines = {
      {R"({"text":"t"})", "line 1.text"},
      {R"({"messages":[{"role":"user","content":"c"}]})", "line 1.messages"},
      {R"({"token_ids":[1,2]})", "line 1.token_ids"}};
  for (const auto& [line, field] : lines) {
    const DatasetItem item = ParseDataset(line).value().front();
    EXPECT_THAT(CheckComplete(item), IsOk()) << "a dataset may hold it";
    for (const auto kind : {EvaluationKind::kChoices, EvaluationKind::kVqa, EvaluationKind::kGrounding}) {
      EXPECT_THAT(CheckItem(item, kind), FailsAt(field));
    }
  }
}

struct Bad {
  std::string line;
  std::string field;
};

TEST(Dataset, AMalformedLineIsNamed) {
  const std::string good = R"({"context":"c","choices":["a","b"],"answer":1})";
  const std::vector<Bad> cases = {
      {"{", "line 2"},
      {"[]", "line 2"},
      {"3", "line 2"},
      {R"({"context":"a","context":"b"})", "line 2"},
      {"{\"context\":\"\xff\"}", "line 2"},
      {R"({"context":1})", "line 2.context"},
      {R"({"context":"c","question":"q"})", "line 2.question"},
      {R"({"question":["q"]})", "line 2.question"},
      {R"({"image":""})", "line 2.image"},
      {R"({"image":"a","images":["b"]})", "line 2.images"},
      {R"({"images":"a.png"})", "line 2.images"},
      {R"({"choices":"ab"})", "line 2.choices"},
      {R"({"choices":["a",2]})", "line 2.choices[1]"},
      {R"({"choices":["a",""]})", "line 2.choices[1]"},
      {R"({"choices":["a","b"],"answer":2})", "line 2.answer"},
      {R"({"choices":["a","b"],"answer":-1})", "line 2.answer"},
      {R"({"choices":["a","b"],"answer":0.5})", "line 2.answer"},
      {R"({"choices":["a","b"],"answer":[0]})", "line 2.answer"},
      {R"({"answer":0})", "line 2.answer"},
      {R"({"answer":"a","answers":["b"]})", "line 2.answers"},
      {R"({"text":""})", "line 2.text"},
      {R"({"text":["t"]})", "line 2.text"},
      {R"({"text":"t","token_ids":[1,2]})", "line 2.token_ids"},
      {R"({"text":"t","question":"q"})", "line 2.question"},
      {R"({"token_ids":[1,2],"image":"a.png"})", "line 2.image"},
      {R"({"messages":[]})", "line 2.messages"},
      {R"({"messages":"hi"})", "line 2.messages"},
      {R"({"messages":[{"role":"user","content":"c"},"hi"]})", "line 2.messages[1].role"},
      {R"({"messages":[{"role":"","content":"c"}]})", "line 2.messages[0].role"},
      {R"({"messages":[{"role":"user"}]})", "line 2.messages[0].content"},
      {R"({"messages":[{"role":"user","content":[{"type":"text"}]}]})", "line 2.messages[0].content"},
      {R"({"token_ids":[1]})", "line 2.token_ids"},
      {R"({"token_ids":[1,-1]})", "line 2.token_ids[1]"},
      {R"({"token_ids":[1,1.5]})", "line 2.token_ids[1]"},
      {R"({"token_ids":[1,2147483648]})", "line 2.token_ids[1]"},
      {R"({"box":[1,2,3]})", "line 2.box"},
      {R"({"box":[1,2,1,4]})", "line 2.box"},
      {R"({"box":[-1,2,3,4]})", "line 2.box"},
      {R"({"box":[1,2,3,"4"]})", "line 2.box"},
      {R"({"box":{"left":1}})", "line 2.box"},
  };
  for (const Bad& bad : cases) {
    EXPECT_THAT(ParseDataset(good + "\n" + bad.line + "\n" + good), FailsAt(bad.field)) << bad.line;
  }
  EXPECT_THAT(ParseDataset(""), FailsAt("dataset"));
  EXPECT_THAT(ParseDataset("\n\n \n"), FailsAt("dataset"));
}

TEST(Dataset, LimitsHold) {
  const std::string line = R"({"context":"c","choices":["a","b"],"answer":1})";
  DatasetLimits limits;
  limits.max_lines = 2;
  EXPECT_THAT(ParseDataset(line + "\n" + line, limits), IsOk());
  EXPECT_THAT(ParseDataset(line + "\n" + line + "\n" + line, limits), FailsAt("line 3"));
  limits.max_messages = 1;
  limits.max_token_ids = 2;
  EXPECT_THAT(ParseDataset(R"({"token_ids":[1,2,3]})", limits), FailsAt("line 1.token_ids"));
  const std::string turn = R"({"role":"user","content":"c"})";
  EXPECT_THAT(ParseDataset(R"({"messages":[)" + turn + "," + turn + "]}", limits), FailsAt("line 1.messages"));
  limits.max_choices = 1;
  EXPECT_THAT(ParseDataset(line, limits), FailsAt("line 1.choices"));
  limits.max_line_bytes = line.size() - 1;
  EXPECT_THAT(ParseDataset(line, limits), FailsAt("line 1"));
  limits.max_bytes = line.size() - 1;
  EXPECT_THAT(ParseDataset(line, limits), FailsAt("dataset"));
}

TEST(Dataset, EachKindTellsWhatItMisses) {
  const auto check = [](const std::string& line, EvaluationKind kind) {
    return CheckItem(ParseDataset(line).value().front(), kind);
  };
  const auto choices = EvaluationKind::kChoices;
  EXPECT_THAT(check(R"({"context":"","choices":["a","b"],"answer":1})", choices), IsOk());
  EXPECT_THAT(check(R"({"choices":["a"],"answer":0})", choices), FailsAt("line 1.choices"));
  EXPECT_THAT(check(R"({"context":"c","image":"i.png","choices":["a","b"],"answer":1})", choices),
              FailsAt("line 1.image"))
      << "it would be left out of the prompt";
  EXPECT_THAT(check(R"({"question":"q","image":"i.png","choices":["a","b"],"answer":1})", EvaluationKind::kVqa),
              IsOk());
  EXPECT_THAT(check(R"({"choices":["a","b"]})", choices), FailsAt("line 1.answer"));
  EXPECT_THAT(check(R"({"choices":["a","b"],"answer":"c"})", choices), FailsAt("line 1.answer"));
  const auto vqa = EvaluationKind::kVqa;
  EXPECT_THAT(check(R"({"question":"q","image":"i.png","answers":["a","b"]})", vqa), IsOk());
  EXPECT_THAT(check(R"({"image":"i.png","answer":"a"})", vqa), FailsAt("line 1.question"));
  EXPECT_THAT(check(R"({"question":"q","answer":"a"})", vqa), FailsAt("line 1.image"));
  EXPECT_THAT(check(R"({"question":"q","image":"i.png"})", vqa), FailsAt("line 1.answer"));
  const auto grounding = EvaluationKind::kGrounding;
  EXPECT_THAT(check(R"({"question":"q","image":"i.png","box":[0,0,1,1]})", grounding), IsOk());
  EXPECT_THAT(check(R"({"question":"q","image":"i.png"})", grounding), FailsAt("line 1.box"));
  EXPECT_THAT(check(R"({"question":"q","images":["a","b"],"box":[0,0,1,1]})", grounding), FailsAt("line 1.image"));
}

}  // namespace
}  // namespace gwq
