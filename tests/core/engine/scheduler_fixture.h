// A scheduler over the fake model, and requests to give it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <vector>

#include "core/engine/scheduler.h"
#include "tests/core/engine/fake_model.h"
#include "tests/core/engine/fake_sink.h"

namespace gwq {

constexpr int64_t kVocab = 97;

class SchedulerTest : public ::testing::Test {
 protected:
  struct Client {
    std::shared_ptr<FakeSink> sink = std::make_shared<FakeSink>();
    std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  };

  explicit SchedulerTest(int64_t blocks = 64) : model(kVocab, blocks, 4) {}

  Client Add(Scheduler& scheduler, GenerationRequest request) {
    Client client;
    const int64_t cache_tokens = model.cache_shape().blocks * model.cache_shape().block_tokens;
    scheduler.Add(std::make_unique<Sequence>(std::move(request), client.sink, client.cancelled, cache_tokens,
                                             clock.MonotonicMillis()));
    return client;
  }
  Scheduler Make(SchedulerOptions options = {}) { return Scheduler(model, options, clock, nullptr); }
  static void RunToEnd(Scheduler& scheduler) {
    for (int i = 0; i < 100000 && scheduler.Step(); ++i) {
    }
  }
  std::vector<int32_t> Alone(GenerationRequest request) {
    Scheduler scheduler = Make();
    const Client client = Add(scheduler, std::move(request));
    RunToEnd(scheduler);
    EXPECT_TRUE(client.sink->done());
    return client.sink->tokens();
  }

  FakeModel model;
  FakeClock clock;
};

inline std::vector<int32_t> Prompt(uint32_t seed, size_t size) {
  std::mt19937 random(seed);
  std::vector<int32_t> prompt(size);
  for (int32_t& token : prompt) token = static_cast<int32_t>(random() % kVocab);
  return prompt;
}

}  // namespace gwq
