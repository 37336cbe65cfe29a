// Choices scored from one prefill of their prompt.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/log_probability.h"
#include "core/base/status.h"
#include "tests/core/engine/scheduler_fixture.h"

namespace gwq {
namespace {

class ChoicesTest : public SchedulerTest {
 protected:
  static GenerationRequest Score(std::vector<int32_t> prompt, std::vector<std::vector<int32_t>> choices) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.choices = std::move(choices);
    return request;
  }
  static std::vector<std::vector<int32_t>> RandomChoices(uint32_t seed, size_t count, size_t most_tokens) {
    std::mt19937 random(seed);
    std::vector<std::vector<int32_t>> choices;
    for (size_t i = 0; i < count; ++i)
      choices.push_back(Prompt(static_cast<uint32_t>(random()), 1 + random() % most_tokens));
    return choices;
  }
  // The definition: prompt and choice in one pass of their own, nothing shared.
  double TeacherForced(const std::vector<int32_t>& prompt, const std::vector<int32_t>& choice) {
    std::vector<int32_t> tokens = prompt;
    tokens.insert(tokens.end(), choice.begin(), choice.end());
    FakeModel own(kVocab, model.cache_shape().blocks, 4);
    std::vector<int32_t> positions(tokens.size()), blocks(static_cast<size_t>(own.cache_shape().blocks)), outputs;
    std::iota(positions.begin(), positions.end(), 0);
    std::iota(blocks.begin(), blocks.end(), 0);
    for (size_t i = prompt.size() - 1; i + 1 < tokens.size(); ++i) outputs.push_back(static_cast<int32_t>(i));
    const SequenceRows rows{0, std::ssize(tokens), 0, blocks};
    Batch batch;
    batch.rows = std::ssize(tokens);
    batch.tokens = tokens;
    batch.positions = positions;
    batch.sequences = {&rows, 1};
    batch.output_rows = outputs;
    std::vector<float> logits(outputs.size() * static_cast<size_t>(kVocab));
    EXPECT_TRUE(own.Forward(batch, logits).ok());
    double sum = 0;
    for (size_t i = 0; i < choice.size(); ++i) {
      const auto row =
          std::span<const float>(logits).subspan(i * static_cast<size_t>(kVocab), static_cast<size_t>(kVocab));
      sum += static_cast<double>(row[static_cast<size_t>(choice[i])]) - *LogSumExp(row);
    }
    return sum;
  }
};

TEST_F(ChoicesTest, EqualTeacherForcingAndThePromptIsComputedOnce) {
  const std::vector<int32_t> prompt = Prompt(1, 50);
  const auto choices = RandomChoices(2, 13, 6);
  Scheduler scheduler = Make();
  const Client client = Add(scheduler, Score(prompt, choices));
  RunToEnd(scheduler);
  ASSERT_TRUE(client.sink->status().ok()) << client.sink->status();
  int64_t rows = 50;
  for (size_t i = 0; i < choices.size(); ++i) {
    EXPECT_DOUBLE_EQ(client.sink->result().choice_log_likelihoods[i], TeacherForced(prompt, choices[i])) << i;
    rows += std::ssize(choices[i]) - 1;
  }
  EXPECT_EQ(scheduler.stats().prompt_tokens, rows);
  EXPECT_EQ(client.sink->result().generated_tokens, 0);
  EXPECT_TRUE(client.sink->tokens().empty());
  EXPECT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
}

TEST_F(ChoicesTest, SingleTokensNeedNoRowBehindThePrompt) {
  const std::vector<int32_t> prompt = Prompt(3, 20);
  Scheduler scheduler = Make();
  const Client client = Add(scheduler, Score(prompt, {{5}, {6}, {5}}));
  RunToEnd(scheduler);
  EXPECT_EQ(model.passes, 1);
  EXPECT_DOUBLE_EQ(client.sink->result().choice_log_likelihoods[1], TeacherForced(prompt, {6}));
  EXPECT_EQ(client.sink->result().choice_log_likelihoods[0], client.sink->result().choice_log_likelihoods[2]);
}

TEST_F(ChoicesTest, AreTheSameBesideOthersInSmallPassesAndAfterPreemptions) {
  std::vector<std::vector<double>> expected;
  const auto prompt = [](uint32_t i) { return Prompt(i, 3 + 17 * i); };
  const auto choices = [](uint32_t i) { return RandomChoices(i, 2 + i, 12); };
  for (uint32_t i = 0; i < 6; ++i) {
    expected.emplace_back();
    for (const auto& choice : choices(i)) expected.back().push_back(TeacherForced(prompt(i), choice));
  }
  std::mt19937 random(1);
  int64_t preemptions = 0;
  for (int round = 0; round < 40; ++round) {
    SchedulerOptions options;
    options.step_tokens = 2 + static_cast<int64_t>(random() % 30);
    options.prefill_tokens_beside_decodes = 1 + static_cast<int64_t>(random() % 9);
    options.max_running = 1 + static_cast<int>(random() % 8);
    Scheduler scheduler = Make(options);
    std::vector<Client> clients, others;
    for (uint32_t i = 0; i < 6; ++i) {
      clients.push_back(Add(scheduler, Score(prompt(i), choices(i))));
      others.push_back(Add(scheduler, Ask(Prompt(100 + i, 30), 40)));
      for (size_t steps = random() % 12; steps > 0; --steps) (void)scheduler.Step();
    }
    RunToEnd(scheduler);
    for (size_t i = 0; i < 6; ++i) {
      ASSERT_TRUE(clients[i].sink->status().ok()) << clients[i].sink->status();
      ASSERT_EQ(clients[i].sink->result().choice_log_likelihoods, expected[i]) << "request " << i << " round " << round;
      ASSERT_TRUE(others[i].sink->status().ok());
    }
    ASSERT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
    preemptions += scheduler.stats().preemptions;
  }
  EXPECT_GT(preemptions, 0) << "the rounds were meant to run out of blocks now and then";
}

TEST_F(ChoicesTest, ALongChoiceAsksForAFewRowsOfLogitsAtATime) {
  size_t largest = 0;
  model.before_pass = [&](const Batch& batch) { largest = std::max(largest, batch.output_rows.size()); };
  const std::vector<int32_t> prompt = Prompt(1, 10);
  const std::vector<int32_t> choice = Prompt(2, 100);
  Scheduler scheduler = Make();
  const Client client = Add(scheduler, Score(prompt, {choice, {1}}));
  RunToEnd(scheduler);
  EXPECT_DOUBLE_EQ(client.sink->result().choice_log_likelihoods[0], TeacherForced(prompt, choice));
  EXPECT_EQ(largest, 16u);
}

TEST_F(ChoicesTest, BrokenLogitsAndACancelEndTheRequest) {
  Scheduler scheduler = Make();
  const Client cancelled = Add(scheduler, Score(Prompt(1, 10), RandomChoices(1, 30, 9)));
  for (int i = 0; i < 3; ++i) (void)scheduler.Step();
  *cancelled.cancelled = true;
  (void)scheduler.Step();
  EXPECT_EQ(cancelled.sink->status().code(), absl::StatusCode::kCancelled);
  model.all_logits = std::nanf("");
  const Client broken = Add(scheduler, Score(Prompt(1, 10), RandomChoices(1, 3, 9)));
  RunToEnd(scheduler);
  EXPECT_EQ(broken.sink->status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
}

TEST_F(ChoicesTest, LogProbabilitiesOfGeneratedTokensAreThoseOfTheirChoice) {
  for (const double temperature : {0.0, 1.7}) {
    const std::vector<int32_t> prompt = Prompt(4, 12);
    GenerationRequest request = Ask(prompt, 9);
    request.log_probabilities = true;
    request.sampling = {.temperature = temperature, .top_k = 5, .seed = 3};
    Scheduler scheduler = Make();
    const Client client = Add(scheduler, std::move(request));
    RunToEnd(scheduler);
    const std::vector<double> each = client.sink->log_probabilities();
    ASSERT_EQ(each.size(), 9u);
    EXPECT_NEAR(std::accumulate(each.begin(), each.end(), 0.0), TeacherForced(prompt, client.sink->tokens()), 1e-9);
  }
}

}  // namespace
}  // namespace gwq
