// Requests answered on the calling thread, and the logits that their sinks see.
#include "core/engine/run_requests.h"

#include <gtest/gtest.h>

#include "core/base/log_probability.h"
#include "tests/core/engine/scheduler_fixture.h"

namespace gwq {
namespace {

class LogitSink final : public GenerationSink {
 public:
  void OnLogits(std::span<const float> row) override { logits.emplace_back(row.begin(), row.end()); }
  void OnChunk(GeneratedChunk chunk) override { tokens.push_back(chunk.tokens.at(0)); }
  void OnDone(const absl::StatusOr<GenerationResult>& done) override {
    ++done_calls;
    result = done;
  }
  int64_t unread_tokens() const override { return 0; }

  std::vector<std::vector<float>> logits;
  std::vector<int32_t> tokens;
  absl::StatusOr<GenerationResult> result;
  int done_calls = 0;
};

class RunRequestsTest : public SchedulerTest {
 protected:
  absl::Status Run(std::vector<RequestToRun> requests, const std::function<absl::Status()>& check = nullptr) {
    return RunRequests(model, {}, std::move(requests), check);
  }
  absl::Status Run(GenerationRequest request, std::shared_ptr<GenerationSink> sink) {
    std::vector<RequestToRun> requests;
    requests.push_back({std::move(request), std::move(sink)});
    return Run(std::move(requests));
  }
};

TEST_F(RunRequestsTest, EachGetsTheAnswerThatItGetsAlone) {
  std::vector<RequestToRun> requests;
  std::vector<std::shared_ptr<LogitSink>> sinks;
  for (uint32_t i = 0; i < 12; ++i) {
    sinks.push_back(std::make_shared<LogitSink>());
    requests.push_back({Ask(Prompt(i, 5 + 9 * i), 30), sinks.back()});
  }
  ASSERT_TRUE(Run(std::move(requests)).ok());
  for (uint32_t i = 0; i < 12; ++i) {
    ASSERT_TRUE(sinks[i]->result.ok()) << sinks[i]->result.status();
    EXPECT_EQ(sinks[i]->done_calls, 1);
    EXPECT_EQ(sinks[i]->tokens, Alone(Ask(Prompt(i, 5 + 9 * i), 30))) << i;
  }
}

TEST_F(RunRequestsTest, ASinkSeesTheLogitsThatEachTokenWasChosenFrom) {
  const auto sink = std::make_shared<LogitSink>();
  ASSERT_TRUE(Run(Ask(Prompt(3, 20), 9), sink).ok());
  ASSERT_EQ(sink->logits.size(), 9U);
  for (size_t i = 0; i < 9; ++i) EXPECT_EQ(*LargestLogit(sink->logits[i]), static_cast<size_t>(sink->tokens[i])) << i;
}

TEST_F(RunRequestsTest, ASinkSeesTheLogitsOfEveryRowOfAChoice) {
  const std::vector<int32_t> choice = Prompt(5, 40);
  GenerationRequest request = Ask(Prompt(3, 20), 1);
  request.choices = {choice};
  const auto sink = std::make_shared<LogitSink>();
  ASSERT_TRUE(Run(std::move(request), sink).ok());
  ASSERT_EQ(sink->logits.size(), choice.size());
  double sum = 0;
  for (size_t i = 0; i < choice.size(); ++i) {
    sum += LogProbability(sink->logits[i], choice[i], *LogSumExp(sink->logits[i]));
  }
  EXPECT_DOUBLE_EQ(sink->result->choice_log_likelihoods[0], sum);
}

TEST_F(RunRequestsTest, AFaultyRequestIsRefusedBeforeAnythingRuns) {
  const auto first = std::make_shared<LogitSink>(), second = std::make_shared<LogitSink>();
  std::vector<RequestToRun> requests;
  requests.push_back({Ask(Prompt(1, 5), 3), first});
  requests.push_back({Ask({kVocab}, 3), second});
  EXPECT_EQ(Run(std::move(requests)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(first->done_calls + second->done_calls, 0);
  EXPECT_EQ(model.passes, 0);
}

TEST_F(RunRequestsTest, AnErrorOfTheCheckEndsWhatIsLeft) {
  const auto ended = std::make_shared<LogitSink>(), left = std::make_shared<LogitSink>();
  std::vector<RequestToRun> requests;
  requests.push_back({Ask(Prompt(1, 5), 2), ended});
  requests.push_back({Ask(Prompt(2, 5), 50), left});
  int checks = 0;
  const auto check = [&] { return ++checks < 4 ? absl::OkStatus() : absl::CancelledError("enough"); };
  EXPECT_EQ(Run(std::move(requests), check).code(), absl::StatusCode::kCancelled);
  EXPECT_TRUE(ended->result.ok());
  EXPECT_EQ(left->result.status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(left->tokens.size(), 3U);
  EXPECT_EQ(model.passes, 3);
}

TEST_F(RunRequestsTest, LogitsThatAreNotFiniteEndARequestWithAnError) {
  model.all_logits = std::nanf("");
  const auto sink = std::make_shared<LogitSink>();
  EXPECT_TRUE(Run(Ask(Prompt(1, 5), 3), sink).ok());
  EXPECT_EQ(sink->result.status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(sink->logits.size(), 1U);
}

}  // namespace
}  // namespace gwq
