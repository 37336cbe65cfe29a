// Readers that stay away, cancels and a full cache, at their limits. The clock moves when a test moves it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "core/base/status.h"
#include "tests/core/engine/scheduler_fixture.h"

namespace gwq {
namespace {

using ::testing::HasSubstr;

class SlowReadersTest : public SchedulerTest {
 protected:
  // 12 blocks of 4 tokens.
  SlowReadersTest() : SchedulerTest(12) {
    options.max_unread_tokens = 8;
    options.slow_client_millis = 1000;
  }
  // A client that reads nothing, run until it is paused.
  Client Pause(Scheduler& scheduler, uint32_t seed, size_t prompt, int64_t deadline_in = 1'000'000) {
    GenerationRequest request = Ask(Prompt(seed, prompt), 60);
    request.deadline_millis = clock.MonotonicMillis() + deadline_in;
    const Client client = Add(scheduler, std::move(request));
    client.sink->slow = true;
    RunToEnd(scheduler);
    return client;
  }
  static void Read(const Client& client, int64_t left_unread = 0) { client.sink->unread = left_unread; }
  // Whether it has got another token by the next step.
  static bool GoesOn(Scheduler& scheduler, const Client& client) {
    const size_t before = client.sink->tokens().size();
    (void)scheduler.Step();
    return client.sink->tokens().size() > before;
  }
  static std::string Error(const Client& client) { return std::string(MessageOf(client.sink->status())); }
  void ExpectAllFree(const Scheduler& scheduler) const {
    EXPECT_EQ(scheduler.stats().free_blocks, model.cache_shape().blocks);
  }

  SchedulerOptions options;
};

TEST_F(SlowReadersTest, APausedReaderGoesOnAtHalfTheLimit) {
  Scheduler scheduler = Make(options);
  const Client slow = Pause(scheduler, 1, 4);
  EXPECT_EQ(slow.sink->unread, 9) << "the token above the limit is out already";
  Read(slow, 5);
  EXPECT_FALSE(GoesOn(scheduler, slow));
  Read(slow, 4);
  EXPECT_TRUE(GoesOn(scheduler, slow));
}

TEST_F(SlowReadersTest, AReaderThatComesBackInTimeGetsAllOfItsTimeAgain) {
  Scheduler scheduler = Make(options);
  const Client slow = Pause(scheduler, 1, 4);
  for (int round = 0; round < 3; ++round) {
    clock.Advance(999);
    Read(slow);
    RunToEnd(scheduler);
    ASSERT_FALSE(slow.sink->done()) << round;
  }
  clock.Advance(1000);
  (void)scheduler.Step();
  EXPECT_TRUE(slow.sink->done());
  ExpectAllFree(scheduler);
}

TEST_F(SlowReadersTest, WhoIsEndedIsToldWhatWasUnreadHowLongTheLimitAndTheRemedy) {
  Scheduler scheduler = Make(options);
  const Client slow = Pause(scheduler, 1, 4);
  clock.Advance(1250);
  (void)scheduler.Step();
  EXPECT_EQ(Error(slow),
            "the client left 9 tokens unread for 1250 ms, the limit is 1000 ms; read faster or use GenerateOnce");
  options.max_paused = 0;
  Scheduler without_room = Make(options);
  EXPECT_THAT(Error(Pause(without_room, 1, 4)), HasSubstr("more than 0 clients do not read"));
  ExpectAllFree(without_room);
}

TEST_F(SlowReadersTest, ACancelAndADeadlineReachAPausedReader) {
  Scheduler scheduler = Make(options);
  const Client cancelled = Pause(scheduler, 1, 4);
  const Client late = Pause(scheduler, 2, 4, 500);
  *cancelled.cancelled = true;
  clock.Advance(499);
  (void)scheduler.Step();
  EXPECT_EQ(cancelled.sink->status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(late.sink->done());
  clock.Advance(1);
  (void)scheduler.Step();
  EXPECT_EQ(late.sink->status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(Error(late), HasSubstr("after 9 generated tokens"));
  ExpectAllFree(scheduler);
}

TEST_F(SlowReadersTest, WhoWasPausedFirstLendsItsBlocksFirst) {
  const std::vector<int32_t> alone = Alone(Ask(Prompt(1, 8), 60));
  Scheduler scheduler = Make(options);
  const Client first = Pause(scheduler, 1, 8), second = Pause(scheduler, 2, 8);
  // Each holds 5 blocks of 12; this one takes 5 at once.
  const Client newcomer = Add(scheduler, Ask(Prompt(3, 19), 1));
  RunToEnd(scheduler);
  ASSERT_TRUE(newcomer.sink->status().ok());
  EXPECT_EQ(scheduler.stats().preemptions, 1);
  const int64_t computed = scheduler.stats().prompt_tokens;
  Read(second);
  EXPECT_TRUE(GoesOn(scheduler, second));
  EXPECT_EQ(scheduler.stats().prompt_tokens, computed) << "the second was computed again";
  *second.cancelled = true;
  for (int i = 0; i < 10; ++i) {
    Read(first);
    RunToEnd(scheduler);
  }
  EXPECT_EQ(first.sink->tokens(), alone);
}

TEST_F(SlowReadersTest, AShortRequestDoesNotPassALongOneThatWaitsForBlocks) {
  Scheduler scheduler = Make(options);
  const Client running = Add(scheduler, Ask(Prompt(1, 20), 8));
  (void)scheduler.Step();
  const Client tall = Add(scheduler, Ask(Prompt(2, 40), 2));
  const Client small = Add(scheduler, Ask(Prompt(3, 1), 1));
  while (!running.sink->done()) {
    EXPECT_TRUE(small.sink->tokens().empty());
    ASSERT_TRUE(scheduler.Step());
  }
  RunToEnd(scheduler);
  EXPECT_TRUE(tall.sink->status().ok());
  EXPECT_TRUE(small.sink->status().ok());
}

TEST_F(SlowReadersTest, TwoThatFillTheWholeCacheAreServedOneAfterTheOther) {
  const auto whole = [](uint32_t seed) { return Ask(Prompt(seed, 20), 28); };
  const std::vector<int32_t> alone[] = {Alone(whole(1)), Alone(whole(2))};
  Scheduler scheduler = Make(options);
  const Client clients[] = {Add(scheduler, whole(1)), Add(scheduler, whole(2))};
  RunToEnd(scheduler);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(clients[i].sink->tokens(), alone[i]);
    EXPECT_EQ(clients[i].sink->result().generated_tokens, 28);
  }
  EXPECT_GT(scheduler.stats().preemptions, 0) << "both were meant to run side by side first";
}

class ManyStreamsTest : public SlowReadersTest {
 protected:
  static constexpr uint32_t kKinds = 40;

  // All of them first: the schedulers of one test share the cache.
  ManyStreamsTest() {
    for (uint32_t kind = 0; kind < kKinds; ++kind) alone_.push_back(Alone(Kind(kind)));
  }
  static GenerationRequest Kind(uint32_t kind) {
    return Ask(Prompt(kind, 1 + kind % 20), 1 + static_cast<int64_t>(kind * 7 % 25));
  }
  // Adds a client of a kind that is drawn, with or without a deadline, and returns the tokens that it would get alone.
  std::vector<int32_t> AddDrawn(Scheduler& scheduler, std::vector<Client>& clients) {
    const auto kind = static_cast<uint32_t>(random() % kKinds);
    GenerationRequest request = Kind(kind);
    if (random() % 6 == 0) request.deadline_millis = clock.MonotonicMillis() + static_cast<int64_t>(random() % 3000);
    clients.push_back(Add(scheduler, std::move(request)));
    clients.back().sink->slow = random() % 2 == 0;
    return alone_[kind];
  }
  void CheckLimits(const Scheduler& scheduler, const std::vector<Client>& clients) const {
    const SchedulerStats stats = scheduler.stats();
    EXPECT_LE(stats.running, options.max_running);
    EXPECT_LE(stats.paused, options.max_paused);
    EXPECT_EQ(stats.queued + stats.running + stats.paused + stats.finished, std::ssize(clients));
    for (const Client& client : clients) EXPECT_LE(client.sink->unread, options.max_unread_tokens + 1);
  }

  std::mt19937 random{11};

 private:
  std::vector<std::vector<int32_t>> alone_;  // by kind
};

TEST_F(ManyStreamsTest, EachEndsOnceWithTheTokensThatItGetsAloneOrTheFirstOfThem) {
  options.max_running = 4;
  options.max_paused = 3;
  options.max_unread_tokens = 2;
  std::map<absl::StatusCode, int> ends;
  int64_t preemptions = 0;
  for (int round = 0; round < 30; ++round) {
    Scheduler scheduler = Make(options);
    std::vector<Client> clients;
    std::vector<std::vector<int32_t>> alone;
    while (clients.size() < 40 || scheduler.stats().finished < 40) {
      if (clients.size() < 40) alone.push_back(AddDrawn(scheduler, clients));
      if (random() % 8 == 0) *clients[random() % clients.size()].cancelled = true;
      if (random() % 2 == 0) Read(clients[random() % clients.size()]);
      clock.Advance(static_cast<int64_t>(random() % 120));
      (void)scheduler.Step();
      CheckLimits(scheduler, clients);
    }
    for (size_t i = 0; i < clients.size(); ++i) {
      const FakeSink& sink = *clients[i].sink;
      ASSERT_EQ(sink.done_calls(), 1) << "client " << i << " of round " << round;
      ++ends[sink.status().code()];
      if (!sink.status().ok()) alone[i].resize(std::min(alone[i].size(), sink.tokens().size()));
      EXPECT_EQ(sink.tokens(), alone[i]) << "client " << i << " of round " << round;
    }
    ExpectAllFree(scheduler);
    preemptions += scheduler.stats().preemptions;
  }
  for (const auto code : {absl::StatusCode::kOk, absl::StatusCode::kCancelled, absl::StatusCode::kDeadlineExceeded,
                          absl::StatusCode::kResourceExhausted}) {
    EXPECT_GT(ends[code], 20) << "the rounds were meant to end in every way";
  }
  EXPECT_GT(preemptions, 20);
}

}  // namespace
}  // namespace gwq
