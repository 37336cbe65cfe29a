#include "core/engine/scheduler.h"

#include <gtest/gtest.h>

#include <random>

#include "core/base/status.h"
#include "tests/core/engine/scheduler_fixture.h"

namespace gwq {
namespace {

GenerationRequest Sampled(uint32_t seed, size_t prompt, int64_t max_tokens) {
  GenerationRequest request = Ask(Prompt(seed, prompt), max_tokens);
  request.sampling = {.temperature = seed % 2 == 0 ? 0.0 : 0.9, .top_p = 0.9, .seed = seed};
  return request;
}

TEST_F(SchedulerTest, StopsAtMaxTokensAndTellsWhatItDid) {
  Scheduler scheduler = Make();
  model.before_pass = [&](const Batch&) { clock.Advance(10); };
  const Client client = Add(scheduler, Ask({1, 2, 3}, 5));
  clock.Advance(7);
  RunToEnd(scheduler);
  ASSERT_TRUE(client.sink->status().ok());
  const GenerationResult result = client.sink->result();
  EXPECT_EQ(result.reason, FinishReason::kLength);
  EXPECT_EQ(result.prompt_tokens, 3);
  EXPECT_EQ(result.generated_tokens, 5);
  EXPECT_EQ(client.sink->tokens().size(), 5u);
  EXPECT_EQ(result.timings.queue_millis, 7);
  EXPECT_EQ(result.timings.prefill_millis, 10);
  EXPECT_EQ(result.timings.decode_millis, 40);
  EXPECT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
}

TEST_F(SchedulerTest, AStopIdEndsTheTextBeforeItself) {
  const std::vector<int32_t> tokens = Alone(Ask({4, 5}, 10));
  Scheduler scheduler = Make();
  GenerationRequest request = Ask({4, 5}, 10);
  request.stop_ids = {tokens[3]};
  const Client client = Add(scheduler, std::move(request));
  RunToEnd(scheduler);
  const auto end = std::find(tokens.begin(), tokens.end(), tokens[3]);
  EXPECT_EQ(client.sink->tokens(), std::vector<int32_t>(tokens.begin(), end + 1));
  EXPECT_EQ(client.sink->result().reason, FinishReason::kStop);
  EXPECT_EQ(client.sink->text().find(fmt::format("<{}>", tokens[3])), std::string::npos);
  EXPECT_TRUE(client.sink->text().ends_with(".")) << "the decoder was not flushed";
}

TEST_F(SchedulerTest, AStopStringAcrossTokensEndsTheAnswer) {
  const std::vector<int32_t> tokens = Alone(Ask({4, 5}, 10));
  Scheduler scheduler = Make();
  GenerationRequest request = Ask({4, 5}, 10);
  request.stop = {fmt::format("{}><{}", tokens[2], tokens[3])};
  const Client client = Add(scheduler, std::move(request));
  RunToEnd(scheduler);
  EXPECT_EQ(client.sink->text(), fmt::format("<{}><{}><", tokens[0], tokens[1]));
  EXPECT_EQ(client.sink->result().stop_match, fmt::format("{}><{}", tokens[2], tokens[3]));
  EXPECT_EQ(client.sink->result().generated_tokens, 4);
}

TEST_F(SchedulerTest, AnAnswerEndsWhereTheContextIsFull) {
  Scheduler scheduler = Make();
  const Client client = Add(scheduler, Ask(Prompt(1, 200), 1000));
  RunToEnd(scheduler);
  EXPECT_EQ(client.sink->result().reason, FinishReason::kLength);
  EXPECT_EQ(client.sink->result().generated_tokens, 56);
}

// The promise of the engine: a request's tokens do not depend on what runs beside it, on how its prompt was cut, on
// when it came or on whether it was preempted in between.
TEST_F(SchedulerTest, TokensAreTheSameAloneAndAmongOthers) {
  std::vector<std::vector<int32_t>> alone;
  std::mt19937 random(1);
  std::vector<std::pair<size_t, int64_t>> shapes;
  for (uint32_t i = 0; i < 8; ++i) {
    shapes.emplace_back(1 + random() % 90, 1 + static_cast<int64_t>(random() % 60));
    alone.push_back(Alone(Sampled(i, shapes[i].first, shapes[i].second)));
  }
  int64_t preemptions = 0;
  for (int round = 0; round < 60; ++round) {
    SchedulerOptions options;
    options.step_tokens = 1 + static_cast<int64_t>(random() % 40);
    options.prefill_tokens_beside_decodes = 1 + static_cast<int64_t>(random() % 20);
    options.max_running = 1 + static_cast<int>(random() % 8);
    Scheduler scheduler = Make(options);
    std::vector<Client> clients;
    for (uint32_t i = 0; i < 8; ++i) {
      clients.push_back(Add(scheduler, Sampled(i, shapes[i].first, shapes[i].second)));
      for (size_t steps = random() % 12; steps > 0; --steps) (void)scheduler.Step();
    }
    RunToEnd(scheduler);
    for (size_t i = 0; i < 8; ++i) {
      ASSERT_TRUE(clients[i].sink->status().ok()) << clients[i].sink->status();
      ASSERT_EQ(clients[i].sink->tokens(), alone[i]) << "request " << i << " in round " << round;
    }
    ASSERT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
    preemptions += scheduler.stats().preemptions;
  }
  EXPECT_GT(preemptions, 0) << "the rounds were meant to run out of blocks now and then";
}

TEST_F(SchedulerTest, APassHoldsNoMoreRowsThanAllowed) {
  SchedulerOptions options;
  options.step_tokens = 20;
  options.prefill_tokens_beside_decodes = 7;
  Scheduler scheduler = Make(options);
  int64_t largest = 0;
  int64_t most_beside_decodes = 0;
  model.before_pass = [&](const Batch& batch) {
    largest = std::max(largest, batch.rows);
    int64_t prefill = 0;
    bool decodes = false;
    for (const SequenceRows& rows : batch.sequences) {
      if (rows.rows > 1) prefill += rows.rows;
      decodes |= rows.rows == 1;
    }
    if (decodes) most_beside_decodes = std::max(most_beside_decodes, prefill);
  };
  (void)Add(scheduler, Ask(Prompt(1, 5), 30));
  for (int i = 0; i < 3; ++i) (void)scheduler.Step();
  (void)Add(scheduler, Ask(Prompt(2, 90), 5));
  RunToEnd(scheduler);
  EXPECT_LE(largest, 20);
  EXPECT_EQ(most_beside_decodes, 7);
}

TEST_F(SchedulerTest, ALongPromptDoesNotHoldUpAStreamThatFlows) {
  SchedulerOptions options;
  options.step_tokens = 8;
  options.prefill_tokens_beside_decodes = 4;
  Scheduler scheduler = Make(options);
  const Client flowing = Add(scheduler, Ask({1}, 30));
  (void)scheduler.Step();
  (void)Add(scheduler, Ask(Prompt(2, 100), 5));
  for (size_t i = 1; i < 20; ++i) {
    ASSERT_EQ(flowing.sink->tokens().size(), i);
    (void)scheduler.Step();
  }
}

TEST_F(SchedulerTest, ACancelledRequestLeavesAtTheNextStepAndGivesItsBlocksBack) {
  Scheduler scheduler = Make();
  const Client kept = Add(scheduler, Ask({1}, 20));
  const Client dropped = Add(scheduler, Ask({2}, 20));
  for (int i = 0; i < 3; ++i) (void)scheduler.Step();
  *dropped.cancelled = true;
  (void)scheduler.Step();
  EXPECT_EQ(dropped.sink->status().code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(dropped.sink->tokens().size(), 3u);
  EXPECT_EQ(scheduler.stats().running, 1);
  RunToEnd(scheduler);
  EXPECT_TRUE(kept.sink->status().ok());
  EXPECT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
}

TEST_F(SchedulerTest, ADeadlineEndsWaitingAndRunningRequests) {
  SchedulerOptions options;
  options.max_running = 1;
  Scheduler scheduler = Make(options);
  GenerationRequest late = Ask({1}, 200);
  late.deadline_millis = clock.MonotonicMillis() + 100;
  const Client running = Add(scheduler, std::move(late));
  GenerationRequest later = Ask({1}, 200);
  later.deadline_millis = clock.MonotonicMillis() + 50;
  const Client waiting = Add(scheduler, std::move(later));
  (void)scheduler.Step();
  clock.Advance(50);
  (void)scheduler.Step();
  EXPECT_EQ(waiting.sink->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(running.sink->done());
  clock.Advance(50);
  (void)scheduler.Step();
  EXPECT_EQ(running.sink->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(running.sink->tokens().size(), 2u);
}

TEST_F(SchedulerTest, ASlowReaderIsPausedLendsItsBlocksAndGoesOnWithTheSameTokens) {
  const std::vector<int32_t> alone = Alone(Sampled(1, 10, 60));
  SchedulerOptions options;
  options.max_unread_tokens = 8;
  Scheduler scheduler = Make(options);
  const Client slow = Add(scheduler, Sampled(1, 10, 60));
  slow.sink->slow = true;
  const Client other = Add(scheduler, Sampled(2, 10, 40));
  RunToEnd(scheduler);
  EXPECT_TRUE(other.sink->done()) << "a slow reader stalls another";
  EXPECT_FALSE(slow.sink->done());
  EXPECT_EQ(slow.sink->tokens().size(), 9u);
  EXPECT_EQ(scheduler.stats().paused, 1);
  EXPECT_EQ(scheduler.stats().preemptions, 0) << "nobody asked for its blocks";
  const Client large = Add(scheduler, Ask(Prompt(3, 250), 6));
  RunToEnd(scheduler);
  EXPECT_TRUE(large.sink->done()) << "a paused sequence keeps its blocks from one that runs";
  EXPECT_EQ(scheduler.stats().preemptions, 1);
  slow.sink->slow = false;
  slow.sink->unread = 0;
  RunToEnd(scheduler);
  EXPECT_EQ(slow.sink->tokens(), alone);
  EXPECT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
}

TEST_F(SchedulerTest, APausedSequenceWhoseBlocksNobodyTookIsNotComputedAgain) {
  SchedulerOptions options;
  options.max_unread_tokens = 8;
  Scheduler scheduler = Make(options);
  const Client slow = Add(scheduler, Ask(Prompt(1, 40), 60));
  slow.sink->slow = true;
  for (int i = 0; i < 20; ++i) {
    RunToEnd(scheduler);
    slow.sink->unread = 0;
  }
  EXPECT_TRUE(slow.sink->done());
  EXPECT_EQ(scheduler.stats().prompt_tokens, 40);
}

TEST_F(SchedulerTest, AReaderThatStaysAwayIsEnded) {
  SchedulerOptions options;
  options.max_unread_tokens = 8;
  options.slow_client_millis = 1000;
  Scheduler scheduler = Make(options);
  const Client slow = Add(scheduler, Ask({1}, 60));
  slow.sink->slow = true;
  RunToEnd(scheduler);
  clock.Advance(999);
  (void)scheduler.Step();
  EXPECT_FALSE(slow.sink->done());
  clock.Advance(1);
  (void)scheduler.Step();
  EXPECT_EQ(slow.sink->status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(scheduler.stats().paused, 0);
}

TEST_F(SchedulerTest, PausedReadersAreBounded) {
  SchedulerOptions options;
  options.max_unread_tokens = 2;
  options.max_paused = 3;
  Scheduler scheduler = Make(options);
  std::vector<Client> clients;
  for (int i = 0; i < 5; ++i) {
    clients.push_back(Add(scheduler, Ask({i}, 60)));
    clients.back().sink->slow = true;
    RunToEnd(scheduler);
  }
  EXPECT_EQ(scheduler.stats().paused, 3);
  EXPECT_TRUE(clients[0].sink->done());
  EXPECT_TRUE(clients[1].sink->done());
  EXPECT_FALSE(clients[2].sink->done());
}

TEST_F(SchedulerTest, AFailedPassEndsWhoWasInItAndNobodyElse) {
  SchedulerOptions options;
  options.max_running = 2;
  Scheduler scheduler = Make(options);
  std::vector<Client> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(Add(scheduler, Ask({i}, 10)));
  (void)scheduler.Step();
  model.next_error = absl::InternalError("the device is lost");
  RunToEnd(scheduler);
  EXPECT_EQ(clients[0].sink->status().code(), absl::StatusCode::kInternal);
  EXPECT_EQ(clients[1].sink->status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(clients[2].sink->status().ok());
  EXPECT_EQ(scheduler.stats().free_blocks, scheduler.stats().blocks);
}

TEST_F(SchedulerTest, LogitsThatAreNotFiniteEndTheRequest) {
  model.all_logits = std::nanf("");
  Scheduler scheduler = Make();
  const Client client = Add(scheduler, Ask({1}, 10));
  RunToEnd(scheduler);
  EXPECT_EQ(client.sink->status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(client.sink->tokens().empty());
}

class TightSchedulerTest : public SchedulerTest {
 protected:
  TightSchedulerTest() : SchedulerTest(6) {}
};

TEST_F(TightSchedulerTest, EveryRequestThatFitsTheCacheAloneIsServed) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    SchedulerOptions options;
    options.max_running = 1 + static_cast<int>(random() % 6);
    options.max_unread_tokens = 1 + static_cast<int64_t>(random() % 6);
    Scheduler scheduler = Make(options);
    std::vector<Client> clients;
    for (uint32_t i = 0; i < 10; ++i) {
      clients.push_back(Add(scheduler, Sampled(i, 1 + random() % 23, 1 + static_cast<int64_t>(random() % 24))));
      if (random() % 2 == 0) (void)scheduler.Step();
      if (random() % 8 == 0) *clients[random() % clients.size()].cancelled = true;
      if (random() % 4 == 0) clients.back().sink->slow = true;
    }
    // Readers come back in any order, so that sequences wait with and without blocks.
    for (bool all_done = false; !all_done;) {
      RunToEnd(scheduler);
      all_done = true;
      for (const Client& client : clients) {
        all_done &= client.sink->done();
        if (random() % 3 == 0) client.sink->unread = 0;
      }
    }
    for (const Client& client : clients) ASSERT_EQ(client.sink->done_calls(), 1) << "round " << round;
    ASSERT_EQ(scheduler.stats().free_blocks, 6);
    ASSERT_EQ(scheduler.stats().queued + scheduler.stats().running + scheduler.stats().paused, 0);
  }
}

}  // namespace
}  // namespace gwq
