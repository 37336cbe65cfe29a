// Greedy answers by the engine against one prompt read alone, token by token.
#include "core/evaluation/answers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "core/backend/cpu/cpu_backend.h"
#include "core/base/log_probability.h"
#include "core/models/batch_rows.h"
#include "core/models/cache_shape.h"
#include "tests/support/golden_model.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FilesWeightLoader;
using testing::GoldenModel;
using testing::HasCode;
using testing::IsOk;

using Logits = std::map<std::pair<size_t, size_t>, std::vector<float>>;  // by prompt and step

class AnswersTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto golden = GoldenModel::Load("qwen2-untied-f32-v4");
    ASSERT_THAT(golden, IsOk());
    golden_ = std::make_unique<GoldenModel>(*std::move(golden));
    backend_ = *CreateCpuBackend({2, std::nullopt});
    FilesWeightLoader loader(*backend_, golden_->weights);
    loaded_ = *LoadedModel::Load(golden_->model, loader, {});
    for (size_t i = 0; i < 90; ++i) {
      AnswerPrompt& prompt = prompts_.emplace_back();
      for (size_t k = 0; k < 1 + i * 7 % 30; ++k)
        prompt.tokens.push_back(static_cast<int32_t>((i * 5 + k * k * 3) % 64));
    }
  }

  // The definition: prompt and answer so far in one pass of their own.
  std::vector<float> LogitsBehind(std::span<const int32_t> tokens) {
    const ModelConfig& config = loaded_->model().config();
    const auto cache = backend_->CreateKvCache(CacheShapeFor(config, config.blocks, 4));
    const std::vector<int32_t> blocks = {0, 1, 2, 3};
    BatchRows rows(1, config.hidden_size);
    rows.Add({.tokens = tokens, .blocks = blocks});
    rows.WantLogits(rows.rows() - 1);
    std::vector<float> logits(static_cast<size_t>(config.vocab_size));
    EXPECT_THAT(loaded_->Forward(*backend_, rows.View(), cache->get(), logits), IsOk());
    return logits;
  }

  static Answerer::Visit Keep(Logits& logits) {
    return [&logits](size_t index, size_t step, std::span<const float> row) {
      EXPECT_TRUE(logits.emplace(std::pair(index, step), std::vector<float>(row.begin(), row.end())).second);
    };
  }

  std::unique_ptr<GoldenModel> golden_;
  std::unique_ptr<Backend> backend_;
  std::shared_ptr<const LoadedModel> loaded_;
  std::vector<AnswerPrompt> prompts_;
};

TEST_F(AnswersTest, EachTokenIsTheMostLikelyOneUntilOneEndsTheAnswer) {
  constexpr int64_t kMaxTokens = 7;
  const auto free = Answerer(loaded_, *backend_, {}, kMaxTokens).Answer(prompts_, nullptr, NoProgress());
  ASSERT_THAT(free, IsOk());
  const std::vector<int32_t> stop_ids = {(*free)[0][3], 64};  // the model cannot say token 64
  Logits logits;
  const auto answers = Answerer(loaded_, *backend_, stop_ids, kMaxTokens).Answer(prompts_, Keep(logits), NoProgress());
  ASSERT_THAT(answers, IsOk());
  size_t steps = 0, stopped = 0;
  for (size_t i = 0; i < prompts_.size(); ++i) {
    std::vector<int32_t> tokens = prompts_[i].tokens;
    std::vector<int32_t> expected;
    for (size_t step = 0; step < kMaxTokens; ++step, ++steps) {
      const std::vector<float> row = LogitsBehind(tokens);
      ASSERT_EQ(logits.at({i, step}), row) << i << ", " << step;
      const auto best = static_cast<int32_t>(*LargestLogit(row));
      if (best == stop_ids[0]) {
        ++stopped;
        ++steps;
        break;
      }
      expected.push_back(best);
      tokens.push_back(best);
    }
    EXPECT_EQ((*answers)[i], expected) << i;
  }
  EXPECT_EQ(logits.size(), steps) << "a step for each token and for what ended the answer";
  EXPECT_GT(stopped, 0U);
}

TEST_F(AnswersTest, ReadingAnAnswerShowsTheLogitsOfGivingIt) {
  const std::vector<int32_t> none;
  for (const int64_t max_tokens : {1, 5, 40}) {
    const auto free = Answerer(loaded_, *backend_, none, max_tokens).Answer(prompts_, nullptr, NoProgress());
    ASSERT_THAT(free, IsOk());
    const std::vector<int32_t> stop_ids = {(*free)[0].back()};
    const Answerer answerer(loaded_, *backend_, stop_ids, max_tokens);
    Logits given, read;
    const auto answers = answerer.Answer(prompts_, Keep(given), NoProgress());
    ASSERT_THAT(answers, IsOk());
    EXPECT_TRUE(std::ranges::any_of(*answers, [&](const auto& answer) { return std::ssize(answer) < max_tokens; }));
    ASSERT_THAT(answerer.Read(prompts_, *answers, Keep(read), NoProgress()), IsOk());
    EXPECT_EQ(given, read) << max_tokens;
  }
}

TEST_F(AnswersTest, NoPassAsksForMoreLogitsThanMemoryIsPlannedFor) {
  // Counts rows of logits as they come: those of one pass come together, without a check in between.
  class Counting final : public Progress {
   public:
    void Step(std::string_view, int64_t, int64_t) override {}
    void Log(std::string_view) override {}
    absl::Status Check() override {
      rows = 0;
      return absl::OkStatus();
    }
    int64_t rows = 0;
    int64_t most = 0;
  } progress;
  const auto count = [&](size_t, size_t, std::span<const float>) {
    progress.most = std::max(progress.most, ++progress.rows);
  };
  const Answerer answerer(loaded_, *backend_, {}, 40);
  const auto answers = answerer.Answer(prompts_, count, progress);
  ASSERT_THAT(answers, IsOk());
  EXPECT_EQ(progress.most, kAnswerLogitRows);
  ASSERT_THAT(answerer.Read(prompts_, *answers, count, progress), IsOk());
  EXPECT_EQ(progress.most, kAnswerLogitRows);
}

TEST_F(AnswersTest, ACancelAndBrokenLogitsAreErrors) {
  class Cancelled final : public Progress {
   public:
    void Step(std::string_view, int64_t, int64_t) override {}
    void Log(std::string_view) override {}
    absl::Status Check() override { return absl::CancelledError("enough"); }
  } cancelled;
  const Answerer answerer(loaded_, *backend_, {}, 4);
  EXPECT_THAT(answerer.Answer(prompts_, nullptr, cancelled), HasCode(absl::StatusCode::kCancelled));
  std::vector<AnswerPrompt> broken(1);
  broken[0].tokens = {~0, 1};
  broken[0].images = std::make_shared<const std::vector<float>>(
      static_cast<size_t>(loaded_->model().config().hidden_size), std::numeric_limits<float>::quiet_NaN());
  EXPECT_THAT(answerer.Answer(broken, nullptr, NoProgress()), HasCode(absl::StatusCode::kInternal));
}

}  // namespace
}  // namespace gwq
