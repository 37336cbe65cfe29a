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
