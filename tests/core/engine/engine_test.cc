#include "core/engine/engine.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "core/base/status.h"
#include "tests/core/engine/fake_model.h"
#include "tests/core/engine/fake_sink.h"
#include "tests/core/engine/pass_gate.h"

namespace gwq {
namespace {

constexpr int64_t kVocab = 97;

std::chrono::steady_clock::time_point Soon() { return std::chrono::steady_clock::now() + std::chrono::seconds(30); }

class EngineTest : public ::testing::Test {
 protected:
  // A failed test must not wait for its own gate.
  struct OpenAndDelete {
    PassGate* gate;
    void operator()(Engine* engine) const {
      gate->Open();
      delete engine;
    }
  };
  using EnginePtr = std::unique_ptr<Engine, OpenAndDelete>;

  EnginePtr Make(EngineOptions options = {}) {
    auto model = std::make_unique<FakeModel>(kVocab, 64, 4);
    model_ = model.get();
    if (gated) {
      model->before_pass = [this](const Batch&) { gate.Pass(); };
    }
    return EnginePtr(new Engine(std::move(model), options, clock, nullptr), OpenAndDelete{&gate});
  }

  FakeClock clock;
  PassGate gate;
  bool gated = false;
  FakeModel* model_ = nullptr;
};

TEST_F(EngineTest, ServesManyThreadsWithTheTokensEachWouldGetAlone) {
  const auto make_request = [](uint32_t i) {
    std::mt19937 random(i);
    std::vector<int32_t> prompt(1 + random() % 40);
    for (int32_t& token : prompt) token = static_cast<int32_t>(random() % kVocab);
    GenerationRequest request = Ask(prompt, 1 + static_cast<int64_t>(random() % 30));
    request.sampling = {.temperature = 0.8, .seed = i};
    return request;
  };
  constexpr uint32_t kRequests = 64;
  std::vector<std::vector<int32_t>> alone;
  for (uint32_t i = 0; i < kRequests; ++i) {
    auto engine = Make();
    auto sink = std::make_shared<FakeSink>();
    ASSERT_TRUE(engine->Submit(make_request(i), sink).ok());
    sink->WaitDone();
    alone.push_back(sink->tokens());
  }
  auto engine = Make({.scheduler = {.max_running = 8, .step_tokens = 32}});
  std::vector<std::shared_ptr<FakeSink>> sinks(kRequests);
  for (auto& sink : sinks) sink = std::make_shared<FakeSink>();
  std::vector<std::thread> threads;
  for (uint32_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint32_t i = t; i < kRequests; i += 4) {
        ASSERT_TRUE(engine->Submit(make_request(i), sinks[i]).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (uint32_t i = 0; i < kRequests; ++i) {
    sinks[i]->WaitDone();
    ASSERT_TRUE(sinks[i]->status().ok()) << sinks[i]->status();
    EXPECT_EQ(sinks[i]->tokens(), alone[i]);
  }
  EXPECT_TRUE(engine->WaitUntilIdle(Soon()));
  EXPECT_EQ(engine->stats().free_blocks, engine->stats().blocks);
  EXPECT_EQ(engine->stats().finished, kRequests);
}

TEST_F(EngineTest, AFullQueueIsRefusedWithARetryDelay) {
  gated = true;
  auto engine = Make({.max_queued = 2, .scheduler = {.max_running = 1}});
  auto running = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine->Submit(Ask({1}, 3), running).ok());
  gate.WaitArrived(1);
  std::vector<std::shared_ptr<FakeSink>> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.push_back(std::make_shared<FakeSink>());
    ASSERT_TRUE(engine->Submit(Ask({2}, 3), waiting.back()).ok());
  }
  auto refused = std::make_shared<FakeSink>();
  const auto handle = engine->Submit(Ask({3}, 3), refused);
  EXPECT_EQ(handle.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_GT(RetryDelayMilliseconds(handle.status()), 0);
  gate.Open();
  for (const auto& sink : waiting) sink->WaitDone();
  EXPECT_TRUE(waiting[1]->status().ok());
  EXPECT_EQ(refused->done_calls(), 0);
}

TEST_F(EngineTest, CancelReachesARequestThatRunsAndOneThatWaits) {
  gated = true;
  auto engine = Make({.scheduler = {.max_running = 1}});
  auto first = std::make_shared<FakeSink>();
  auto second = std::make_shared<FakeSink>();
  auto first_handle = engine->Submit(Ask({1}, 200), first);
  auto second_handle = engine->Submit(Ask({2}, 200), second);
  gate.WaitArrived(1);
  (*first_handle)->Cancel();
  (*second_handle)->Cancel();
  gate.Open();
  first->WaitDone();
  second->WaitDone();
  EXPECT_EQ(first->status().code(), absl::StatusCode::kCancelled);
  EXPECT_LE(first->tokens().size(), 1u);
  EXPECT_TRUE(second->tokens().empty());
  EXPECT_TRUE(engine->WaitUntilIdle(Soon()));
  EXPECT_EQ(engine->stats().free_blocks, engine->stats().blocks);
}

TEST_F(EngineTest, APausedRequestGoesOnWhenItsReaderDoes) {
  auto engine = Make({.scheduler = {.max_unread_tokens = 4}});
  auto sink = std::make_shared<FakeSink>();
  sink->slow = true;
  auto handle = engine->Submit(Ask({1}, 20), sink);
  sink->WaitTokens(5);
  sink->slow = false;
  sink->unread = 0;
  (*handle)->Resume();
  sink->WaitDone();
  EXPECT_TRUE(sink->status().ok());
  EXPECT_EQ(sink->tokens().size(), 20u);
}

TEST_F(EngineTest, DrainingRefusesNewRequestsAndFinishesOldOnes) {
  gated = true;
  auto engine = Make();
  auto sink = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine->Submit(Ask({1}, 20), sink).ok());
  gate.WaitArrived(1);
  engine->StopAccepting();
  EXPECT_EQ(engine->Submit(Ask({1}, 20), std::make_shared<FakeSink>()).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(engine->WaitUntilIdle(std::chrono::steady_clock::now()));
  gate.Open();
  EXPECT_TRUE(engine->WaitUntilIdle(Soon()));
  EXPECT_TRUE(sink->status().ok());
  EXPECT_EQ(sink->tokens().size(), 20u);
}

TEST_F(EngineTest, AbortEndsWhatIsLeft) {
  gated = true;
  auto engine = Make({.scheduler = {.max_running = 1}});
  auto running = std::make_shared<FakeSink>();
  auto waiting = std::make_shared<FakeSink>();
  ASSERT_TRUE(engine->Submit(Ask({1}, 200), running).ok());
  ASSERT_TRUE(engine->Submit(Ask({2}, 200), waiting).ok());
  gate.WaitArrived(1);
  std::thread aborting([&] { engine->Abort(absl::UnavailableError("unloaded")); });
  while (engine->Submit(Ask({3}, 1), std::make_shared<FakeSink>()).status().code() != absl::StatusCode::kUnavailable) {
    std::this_thread::yield();
  }
  gate.Open();
  aborting.join();
  EXPECT_EQ(running->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(waiting->status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(running->done_calls(), 1);
}

TEST_F(EngineTest, DestroyingTheEngineEndsRequestsAndHandlesOutliveIt) {
  auto engine = Make();
  auto sink = std::make_shared<FakeSink>();
  auto handle = engine->Submit(Ask({1}, 250), sink);
  ASSERT_TRUE(handle.ok());
  engine.reset();
  EXPECT_EQ(sink->done_calls(), 1);
  (*handle)->Cancel();
  (*handle)->Resume();
}

TEST_F(EngineTest, LimitsAreTheSmallerOfOptionAndCache) {
  EXPECT_EQ(Make()->limits().max_context_tokens, 256);
  EXPECT_EQ(Make({.max_context_tokens = 100})->limits().max_context_tokens, 100);
  EXPECT_EQ(Make({.max_context_tokens = 1000})->limits().max_context_tokens, 256);
  EXPECT_EQ(Make({.max_context_tokens = 100})->limits().max_prompt_tokens, 99);
  EXPECT_EQ(Make({.max_prompt_tokens = 10})->limits().max_prompt_tokens, 10);
  EXPECT_EQ(FieldViolations(Make()->Submit(Ask({}, 1), std::make_shared<FakeSink>()).status()).size(), 1u);
}

}  // namespace
}  // namespace gwq
