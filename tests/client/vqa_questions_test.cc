// Files of questions for gwq vqa --batch.
#include <gtest/gtest.h>

#include "client/library/vqa.h"
#include "core/base/status.h"

namespace gwq::client {
namespace {

TEST(ReadQuestions, TakesPathsFromTheFilesFolderAndDefaultsFromTheCommandLine) {
  v1::VqaRequest defaults;
  defaults.set_model("m");
  defaults.set_max_tokens(9);
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
