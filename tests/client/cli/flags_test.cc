// The values that flags take: checks of one word, how an answer is sampled, what is evaluated.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "client/cli/checks.h"
#include "client/cli/evaluation_flags.h"
#include "client/cli/sampling_flags.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace gwq::cli {
namespace {

using ::testing::ElementsAre;
using testing::FailsAt;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

// What the parser says of the words; empty if it takes them.
std::string ParseError(CLI::App& app, std::vector<std::string> words) {
  std::ranges::reverse(words);
  try {
    app.parse(words);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
}

TEST(Checks, AWholeNumberIsNeitherWrappedNorCutAndNanIsNoNumber) {
  for (const char* const fine : {"0", "18446744073709551615"}) EXPECT_EQ(WholeNumber(fine), "");
  for (const char* const wrong : {"", "-1", "1.5", "1e3", "0x10", "18446744073709551616", "seven"}) {
    EXPECT_THAT(WholeNumber(wrong), HasSubstr("'" + std::string(wrong) + "' is not a whole number from 0 to"));
  }
  for (const char* const nan : {"nan", "NaN", "-nan"}) EXPECT_THAT(NotNan(nan), HasSubstr(nan));
  for (const char* const fine : {"1.5", "inf", "text"}) EXPECT_EQ(NotNan(fine), "") << "others refuse the rest";
}

class SamplingTest : public ::testing::Test {
 protected:
  SamplingTest() { AddSamplingFlags(app_, arguments_); }
  std::string Parse(const std::vector<std::string>& words) {
    const std::string error = ParseError(app_, words);
    SetSampling(arguments_, generate_);
    SetSampling(arguments_, vqa_);
    return error;
  }

  CLI::App app_;
  SamplingArguments arguments_;
  v1::GenerateRequest generate_;
  v1::VqaRequest vqa_;
};

TEST_F(SamplingTest, WhatIsNotGivenIsLeftToTheService) {
  EXPECT_EQ(Parse({}), "");
  EXPECT_EQ(generate_.ByteSizeLong() + vqa_.ByteSizeLong(), 0u);
}

TEST_F(SamplingTest, EveryFlagReachesBothRequests) {
  EXPECT_EQ(Parse({"-n", "0", "-t", "0.5", "--top-k", "3", "--top-p", "0", "--seed", "18446744073709551615", "--stop",
                   "a", "--stop", "b,c", "--stop-id", "5", "--stop-id", "-1", "--ignore-eos"}),
            "");
  EXPECT_TRUE(generate_.has_max_tokens()) << "zero is a value";
  EXPECT_EQ(generate_.sampling().ShortDebugString(), "temperature: 0.5 top_k: 3 top_p: 0 seed: 18446744073709551615");
  EXPECT_THAT(generate_.stop(), ElementsAre("a", "b,c"));
  EXPECT_THAT(generate_.stop_ids(), ElementsAre(5, -1)) << "the service knows which ids there are";
  EXPECT_TRUE(vqa_.has_max_tokens() && vqa_.ignore_eos() && generate_.ignore_eos());
  EXPECT_EQ(vqa_.sampling().ShortDebugString(), generate_.sampling().ShortDebugString());
  EXPECT_THAT(vqa_.stop(), ElementsAre("a", "b,c"));
}

// CLI11 reads an empty text, as of a variable that is not set, as 0: greedy, or no token at all.
TEST_F(SamplingTest, AnEmptyNumberIsRefusedByItsFlag) {
  for (const std::string flag : {"--max-tokens", "--temperature", "--top-k", "--top-p", "--seed", "--stop-id"}) {
    EXPECT_THAT(Parse({flag, ""}), HasSubstr(flag)) << flag;
  }
}

class TaskTest : public ::testing::Test {
 protected:
  static absl::StatusOr<v1::EvaluationTask> Parse(const std::vector<std::string>& words) {
    CLI::App app;
    TaskArguments arguments;
    AddTaskFlags(app, arguments);
    if (const std::string error = ParseError(app, words); !error.empty()) return absl::UnknownError(error);
    return TaskOf(arguments);
  }
  std::string File(const std::string& text) const {
    std::ofstream(folder_ / "text.txt", std::ios::binary) << text;
    return folder_ / "text.txt";
  }

  const testing::TempFolder folder_;
};

TEST_F(TaskTest, FlagsBecomeTheFieldsTheyName) {
  const auto task = Parse({"--kind", "choices", "--dataset", "mmlu", "--tokens", "64", "--window", "16", "--limit", "0",
                           "--delimiter", "", "--max-tokens", "8", "--threads", "2", "--text-file", File("a 漢")});
  ASSERT_THAT(task, IsOk());
  EXPECT_EQ(task->text(), "a 漢");
  EXPECT_EQ(task->ShortDebugString(),
            "kind: CHOICES dataset: \"datasets/mmlu\" text: \"a \\346\\274\\242\" tokens: 64 window: 16 limit: 0 "
            "delimiter: \"\" max_tokens: 8 threads: 2");
  EXPECT_EQ(Parse({})->ByteSizeLong(), 0u) << "what is not given is left to the service";
}

TEST_F(TaskTest, BytesThatAreNoTextAreRefusedAndNotReplaced) {
  EXPECT_THAT(Parse({"--text-file", File("a\xFF")}), FailsAt("text"));
  EXPECT_THAT(Parse({"--dataset", "a\xFF"}), FailsAt("dataset"));
  EXPECT_THAT(ParseTask("delimiter=\xFF"), FailsAt("delimiter"));
}

TEST_F(TaskTest, AFileThatIsTooLargeIsNamedWithTheLimit) {
  std::filesystem::resize_file(File(""), (4 << 20) + 1);
  const absl::Status large = ParseTask("kind=text,text_file=" + folder_ / "text.txt").status();
  EXPECT_THAT(large, HasCode(absl::StatusCode::kInvalidArgument)) << "to try again does not help";
  EXPECT_THAT(large.ToString(), HasSubstr("text.txt' has 4194305 bytes, at most 4194304"));
}

TEST_F(TaskTest, WhatIsNoValueIsToldWithItsField) {
  for (const auto& [field, value] : {std::pair<std::string, std::string>("kind", "grading"),
                                     {"kind", ""},
                                     {"limit", ""},
                                     {"limit", "1.5"},
                                     {"tokens", "99999999999999999999"},
                                     {"colour", "3"}}) {
    const absl::Status status = ParseTask(field + "=" + value).status();
    EXPECT_THAT(status, HasCode(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(status.ToString(), HasSubstr(field));
  }
  EXPECT_THAT(ParseTask("text=a,text_file=" + File("b")), FailsAt("text")) << "one text too many";
}

}  // namespace
}  // namespace gwq::cli
