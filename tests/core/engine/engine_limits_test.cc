// A full queue, paused requests and the end of an engine. Passes wait for the test, and the clock is its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "core/base/status.h"
#include "core/engine/engine.h"
#include "tests/core/engine/fake_model.h"
#include "tests/core/engine/fake_sink.h"
#include "tests/core/engine/pass_gate.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using testing::HasCode;
using ::testing::HasSubstr;
using testing::IsOk;

// Keeps what an engine tells, and can be waited for.
class Watcher final : public EngineObserver {
 public:
  void OnFirstToken(int64_t millis) override { first_tokens.push_back(millis); }
  void OnNextToken(int64_t millis) override { next_tokens.push_back(millis); }
  void OnFinished(absl::StatusCode code) override { ++finished[code]; }
  void OnStats(const SchedulerStats& stats) override {
    MutexLock lock(mutex_);
    stats_ = stats;
    changed_.NotifyAll();
  }
  void WaitQueued(int queued) {
    MutexLock lock(mutex_);
    while (stats_.queued != queued) changed_.Wait(mutex_);
  }
  void WaitPaused(int paused) {
    MutexLock lock(mutex_);
    while (stats_.paused != paused) changed_.Wait(mutex_);
  }

  // Read once the engine is idle or gone.
  std::vector<int64_t> first_tokens, next_tokens;
  std::map<absl::StatusCode, int> finished;

 private:
  Mutex mutex_;
  CondVar changed_;
  SchedulerStats stats_ ABSL_GUARDED_BY(mutex_);
};

class EngineLimitsTest : public ::testing::Test {
 protected:
  // A failed test must not wait for its own gate.
  ~EngineLimitsTest() override { gate.Open(); }

  struct Client {
    std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
    absl::StatusOr<std::shared_ptr<GenerationHandle>> handle = absl::UnknownError("not submitted");
  };

  // One runs at a time, two may wait, and a reader is paused when more than 4 tokens are unread.
  void Start() {
    auto model = std::make_unique<FakeModel>(97, 64, 4);
    model->before_pass = [this](const Batch&) { gate.Pass(); };
    const EngineOptions options = {.max_queued = 2, .scheduler = {.max_running = 1, .max_unread_tokens = 4}};
    engine = std::make_unique<Engine>(std::move(model), options, clock, &watcher);
  }
  Client Submit(int64_t tokens, bool slow = false) {
    Client client;
    client.sink->slow = slow;
    client.handle = engine->Submit(Ask({1, 2}, tokens), client.sink);
    return client;
  }
  // One runs, the first pass of which waits for the gate, and two wait.
  std::vector<Client> Fill() {
    std::vector<Client> clients = {Submit(20)};
    gate.WaitArrived(1);
    for (int i = 0; i < 2; ++i) clients.push_back(Submit(20));
    return clients;
  }
  bool Idle() { return engine->WaitUntilIdle(std::chrono::steady_clock::now() + std::chrono::seconds(30)); }
  int64_t RetryMillis() const { return RetryDelayMilliseconds(engine->CheckQueue()); }

  FakeClock clock;
  PassGate gate;
  Watcher watcher;
  std::unique_ptr<Engine> engine;
};

TEST_F(EngineLimitsTest, CheckQueueAnswersAsSubmitWould) {
  Start();
  EXPECT_THAT(engine->CheckQueue(), IsOk());
  const auto clients = Fill();
  EXPECT_THAT(engine->CheckQueue(), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(engine->CheckQueue(), Submit(1).handle.status());
  EXPECT_THAT(std::string(MessageOf(engine->CheckQueue())), HasSubstr("2 requests wait, the limit is 2"));
  engine->StopAccepting();
  EXPECT_THAT(engine->CheckQueue(), HasCode(absl::StatusCode::kUnavailable)) << "waiting would not help";
}

TEST_F(EngineLimitsTest, ACancelOfOneThatWaitsMakesRoomInTheQueue) {
  Start();
  const auto clients = Fill();
  (*clients[1].handle)->Cancel();
  gate.Step();
  EXPECT_THAT(clients[1].sink->status(), HasCode(absl::StatusCode::kCancelled));
  watcher.WaitQueued(1);
  EXPECT_THAT(Submit(1).handle, IsOk());
  EXPECT_THAT(Submit(1).handle, HasCode(absl::StatusCode::kResourceExhausted));
}

TEST_F(EngineLimitsTest, TheRetryDelayIsTheMeanTimeOfARequestWithinBounds) {
  Start();
  auto clients = Fill();
  EXPECT_EQ(RetryMillis(), 1000) << "none has ended yet";
  clock.Advance(6000);
  (*clients[0].handle)->Cancel();
  gate.Step();
  clients.push_back(Submit(20));
  EXPECT_EQ(RetryMillis(), 6000);
  clock.Advance(60'000);
  EXPECT_EQ(RetryMillis(), 30'000) << "no client waits longer";
}

TEST_F(EngineLimitsTest, ARequestThatEndsAtOnceAsksOthersToWaitATenthOfASecond) {
  Start();
  auto clients = Fill();
  (*clients[0].handle)->Cancel();
  gate.Step();
  clients.push_back(Submit(20));
  EXPECT_EQ(RetryMillis(), 100);
}

TEST_F(EngineLimitsTest, ACancelAndADeadlineWakeAnEngineWhoseReadersAreAllPaused) {
  Start();
  gate.Open();
  const Client cancelled = Submit(50, /*slow=*/true);
  watcher.WaitPaused(1);
  const Client slow = Submit(50, /*slow=*/true);
  watcher.WaitPaused(2);
  (*cancelled.handle)->Cancel();
  cancelled.sink->WaitDone();
  EXPECT_THAT(cancelled.sink->status(), HasCode(absl::StatusCode::kCancelled));
  EXPECT_FALSE(slow.sink->done());
  clock.Advance(SchedulerOptions().slow_client_millis);
  slow.sink->WaitDone();
  EXPECT_THAT(slow.sink->status(), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(Idle());
}

TEST_F(EngineLimitsTest, APausedReaderKeepsAnEngineBusyUntilItIsAborted) {
  Start();
  gate.Open();
  const Client slow = Submit(50, /*slow=*/true);
  watcher.WaitPaused(1);
  engine->StopAccepting();
  EXPECT_FALSE(engine->WaitUntilIdle(std::chrono::steady_clock::now()));
  engine->Abort(absl::UnavailableError("unloaded"));
  EXPECT_EQ(slow.sink->status(), absl::UnavailableError("unloaded"));
  EXPECT_EQ(slow.sink->tokens().size(), 5u);
  EXPECT_EQ(engine->stats().free_blocks, engine->stats().blocks);
  engine->Abort(absl::InternalError("once more"));
  EXPECT_EQ(slow.sink->done_calls(), 1);
}

TEST_F(EngineLimitsTest, TheEndOfAnEngineIsToldToOneThatRunsToThoseThatWaitAndToAPausedOne) {
  Start();
  std::vector<Client> clients = {Submit(50, /*slow=*/true)};
  gate.WaitArrived(1);
  for (int i = 0; i < 4; ++i) gate.Step();
  for (int i = 0; i < 2; ++i) clients.push_back(Submit(20));
  gate.Step();  // pauses the first, and the second runs
  clients.push_back(Submit(20));
  Engine* const going = engine.get();
  std::thread ending([this] { engine.reset(); });
  // The gate holds the engine's thread, for which its end waits.
  while (going->CheckQueue().code() != absl::StatusCode::kUnavailable) std::this_thread::yield();
  for (const Client& client : clients) EXPECT_FALSE(client.sink->done());
  gate.Open();
  ending.join();
  for (const Client& client : clients) {
    EXPECT_EQ(client.sink->done_calls(), 1);
    EXPECT_THAT(std::string(MessageOf(client.sink->status())), HasSubstr("ask again elsewhere"));
  }
  EXPECT_EQ(watcher.finished[absl::StatusCode::kUnavailable], 4);
}

TEST_F(EngineLimitsTest, TheObserverHearsTheTimeOfEachTokenAndEachEnd) {
  Start();
  const Client first = Submit(3);
  gate.WaitArrived(1);
  const Client second = Submit(1);
  clock.Advance(70);
  gate.Step();
  clock.Advance(20);
  gate.Step();
  clock.Advance(10);
  gate.Open();
  ASSERT_TRUE(Idle());
  EXPECT_THAT(watcher.first_tokens, ElementsAre(70, 100)) << "the second waited for the first";
  EXPECT_THAT(watcher.next_tokens, ElementsAre(20, 10));
  EXPECT_EQ(watcher.finished[absl::StatusCode::kOk], 2);
}

}  // namespace
}  // namespace gwq
