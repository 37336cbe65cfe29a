// The reference on a real model: transformers' greedy tokens come out of the engine, alone and in a batch.
#include <gtest/gtest.h>

#include "core/backend/cpu/cpu_backend.h"
#include "core/engine/engine.h"
#include "tests/core/engine/fake_sink.h"
#include "tests/support/smollm2.h"

namespace gwq {
namespace {

class SmolLm2EngineTest : public ::testing::Test {
 protected:
  static constexpr int64_t kTokens = 64;

  // Imported and loaded once: that takes longer than the tests.
  struct Loaded {
    std::unique_ptr<testing::ImportedSmolLm2> imported;
    std::unique_ptr<Backend> backend;
    std::shared_ptr<const LoadedModel> model;
  };
  static absl::StatusOr<Loaded> Load() {
    Loaded loaded;
    GWQ_ASSIGN_OR_RETURN(loaded.imported, testing::ImportedSmolLm2::Import());
    GWQ_ASSIGN_OR_RETURN(loaded.backend, CreateCpuBackend({.threads = 2, .isa = {}}));
    const auto weights = MakeWeightLoader(loaded.imported->model(), *loaded.backend);
    GWQ_ASSIGN_OR_RETURN(loaded.model, LoadedModel::Load(loaded.imported->model().model(), *weights, nullptr));
    return loaded;
  }
  static void SetUpTestSuite() { loaded_ = Load(); }
  static void TearDownTestSuite() { loaded_ = absl::UnknownError("not loaded"); }

  void SetUp() override {
    ASSERT_TRUE(loaded_.ok()) << loaded_.status();
    auto runs = testing::GoldenGreedyRuns();
    ASSERT_TRUE(runs.ok()) << runs.status();
    runs_ = *std::move(runs);
    ASSERT_GE(runs_.size(), 4u);
  }
  std::unique_ptr<Engine> MakeEngine(const SchedulerOptions& options, int64_t cache_tokens) {
    auto step = MakeStepModel(loaded_->model, *loaded_->backend, fifo_lock_, cache_tokens);
    return std::make_unique<Engine>(*std::move(step), EngineOptions{.scheduler = options}, SystemClock(), nullptr);
  }
  [[nodiscard]] std::shared_ptr<FakeSink> Submit(Engine& engine, const testing::GreedyRun& run) const {
    auto sink = std::make_shared<FakeSink>();
    EXPECT_TRUE(engine.Submit(Ask(run.prompt_ids, kTokens), sink).ok());
    return sink;
  }

  static inline absl::StatusOr<Loaded> loaded_ = absl::UnknownError("not loaded");
  FifoLock fifo_lock_;
  std::vector<testing::GreedyRun> runs_;
};

TEST_F(SmolLm2EngineTest, GreedyTokensEqualTransformersAlone) {
  const auto engine = MakeEngine({}, 512);
  for (const testing::GreedyRun& run : runs_) {
    const auto sink = Submit(*engine, run);
    sink->WaitDone();
    EXPECT_EQ(sink->tokens(), run.greedy_ids) << run.prompt;
  }
}

// Prompts in chunks of a few rows beside decodes, and a cache too small for all, so that some are preempted.
TEST_F(SmolLm2EngineTest, GreedyTokensEqualTransformersInABatchWithPreemptions) {
  const auto engine = MakeEngine({.max_running = 8, .step_tokens = 16, .prefill_tokens_beside_decodes = 3}, 320);
  std::vector<std::shared_ptr<FakeSink>> sinks;
  for (int copy = 0; copy < 2; ++copy) {
    for (const testing::GreedyRun& run : runs_) sinks.push_back(Submit(*engine, run));
  }
  for (size_t i = 0; i < sinks.size(); ++i) {
    sinks[i]->WaitDone();
    EXPECT_EQ(sinks[i]->tokens(), runs_[i % runs_.size()].greedy_ids) << runs_[i % runs_.size()].prompt;
  }
  EXPECT_GT(engine->stats().preemptions, 0);
}

}  // namespace
}  // namespace gwq
