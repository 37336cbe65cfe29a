// Files of questions for gwq vqa --batch.
#include <gtest/gtest.h>

#include "client/library/vqa.h"
#include "core/base/status.h"

namespace gwq::client {
namespace {

TEST(ReadQuestions, TakesPathsFromTheFilesFolderAndDefaultsFromTheCommandLine) {
  VqaDefaults defaults;
  defaults.request.set_model("m");
  defaults.request.set_max_tokens(9);
  const auto questions = ReadQuestions(
      "{\"image\":\"a.png\",\"question\":\"q1\"}\n \r\n"
      "{\"images\":[\"/b.png\",\"sha256:00\"],\"question\":\"q2\",\"choices\":[\"x\",\"y\"],\"id\":7}\n"
      "{\"question\":\"q3\",\"boxes\":true,\"id\":\"s\"}",
      "folder", defaults);
  ASSERT_TRUE(questions.ok()) << questions.status();
  ASSERT_EQ(questions->size(), 3u);
  const VqaQuestion& first = (*questions)[0];
  EXPECT_EQ(first.line, 1);
  EXPECT_EQ(first.images, std::vector<std::string>{"folder/a.png"});
  EXPECT_EQ(first.request.question(), "q1");
  EXPECT_EQ(first.request.max_tokens(), 9);
  const VqaQuestion& second = (*questions)[1];
  EXPECT_EQ(second.line, 3);
  EXPECT_EQ(second.id, "7");
  EXPECT_EQ(second.images, (std::vector<std::string>{"/b.png", "sha256:00"}));
  EXPECT_EQ(second.request.choices().texts_size(), 2);
  EXPECT_FALSE(second.request.has_max_tokens()) << "choices are not generated";
  EXPECT_TRUE((*questions)[2].request.has_boxes());
  EXPECT_EQ((*questions)[2].id, "s");
}

TEST(ReadQuestions, ScoresChoicesOfALineAndPlacesItsBoxesAsTheCommandLineSays) {
  VqaDefaults defaults;
  defaults.choices.set_normalization(v1::BY_TOKENS);
  defaults.choices.set_with_end(true);
  defaults.boxes.set_image(1);
  const auto questions = ReadQuestions(
      "{\"question\":\"q\",\"choices\":[\"x\",\"y\"]}\n{\"question\":\"q\",\"boxes\":true}\n{\"question\":\"q\"}", "",
      defaults);
  ASSERT_TRUE(questions.ok()) << questions.status();
  const v1::ChoiceSet& choices = (*questions)[0].request.choices();
  EXPECT_EQ(choices.texts_size(), 2);
  EXPECT_EQ(choices.normalization(), v1::BY_TOKENS);
  EXPECT_TRUE(choices.with_end());
  EXPECT_EQ((*questions)[1].request.boxes().image(), 1);
  EXPECT_EQ((*questions)[2].request.task_case(), v1::VqaRequest::TASK_NOT_SET);
}

TEST(ReadQuestions, ALineReplacesTheTaskOfTheCommandLine) {
  VqaDefaults boxes;
  boxes.request.mutable_boxes();
  const auto free = ReadQuestions(R"({"question":"q","boxes":false})", "", boxes);
  ASSERT_TRUE(free.ok()) << free.status();
  EXPECT_EQ((*free)[0].request.task_case(), v1::VqaRequest::TASK_NOT_SET);
  const auto chosen = ReadQuestions(R"({"question":"q","boxes":false,"choices":["x","y"]})", "", boxes);
  ASSERT_TRUE(chosen.ok()) << chosen.status();
  EXPECT_EQ((*chosen)[0].request.choices().texts_size(), 2);
  VqaDefaults choices;
  choices.request.mutable_choices()->add_texts("x");
  const auto kept = ReadQuestions(R"({"question":"q","boxes":false})", "", choices);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_TRUE((*kept)[0].request.has_choices());
}

TEST(ReadQuestions, NamesTheLineAtFault) {
  for (const char* line : {"{", "[]", "7", "{}", R"({"question":7})", R"({"question":"q","image":7})",
                           R"({"question":"q","images":["a",7]})", R"({"question":"q","choices":"a"})",
                           R"({"question":"q","choices":["a",1]})", R"({"question":"q","boxes":1})",
                           R"({"question":"q","choices":["a","b"],"boxes":true})"}) {
    const auto questions = ReadQuestions(std::string("{\"question\":\"fine\"}\n") + line + "\n", "", {});
    EXPECT_TRUE(absl::IsInvalidArgument(questions.status())) << line;
    EXPECT_TRUE(MessageOf(questions.status()).starts_with("line 2: ")) << questions.status();
  }
}

}  // namespace
}  // namespace gwq::client
