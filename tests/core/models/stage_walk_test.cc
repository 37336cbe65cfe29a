#include "core/models/stage_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <numeric>

#include "core/backend/cpu/cpu_backend.h"
#include "core/models/cache_shape.h"
#include "tests/support/golden_model.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FilesWeightLoader;
using testing::GoldenModel;
using testing::HasCode;
using testing::IsOk;

std::vector<int32_t> Count(int64_t from, int64_t count) {
  std::vector<int32_t> out(static_cast<size_t>(count));
  std::iota(out.begin(), out.end(), static_cast<int32_t>(from));
  return out;
}

// Counts the stages whose weights are alive whenever a weight is loaded.
class StageCounter final : public WeightLoader {
 public:
  explicit StageCounter(WeightLoader& inner) : inner_(inner) {}
  absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override {
    auto loaded = inner_.Load(spec);
    if (loaded.ok()) weights_[spec.stage].push_back(*loaded);
    int alive = 0;
    for (const auto& [stage, weights] : weights_) {
      alive += std::ranges::any_of(weights, [](const auto& weight) { return !weight.expired(); }) ? 1 : 0;
    }
    most = std::max(most, alive);
    return loaded;
  }

  int most = 0;

 private:
  WeightLoader& inner_;
  std::map<int, std::vector<std::weak_ptr<const Weight>>> weights_;
};

class StageWalkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto golden = GoldenModel::Load("qwen2-untied-f32-v4");
    ASSERT_THAT(golden, IsOk());
    golden_ = std::make_unique<GoldenModel>(*std::move(golden));
    backend_ = *CreateCpuBackend({2, std::nullopt});
    loader_ = std::make_unique<FilesWeightLoader>(*backend_, golden_->weights);
    for (int i = 0; i < 70; ++i) tokens_.push_back(i * 11 % 64);
  }

  const ModelConfig& config() const { return golden_->model->config(); }
  size_t vocabulary() const { return static_cast<size_t>(config().vocab_size); }
  std::unique_ptr<KvCache> Cache(int layers) { return *backend_->CreateKvCache(CacheShapeFor(config(), layers, 8)); }

  // Logits of all rows by the whole model, one sequence alone.
  std::vector<float> Whole(std::span<const int32_t> tokens) {
    const auto loaded = LoadedModel::Load(golden_->model, *loader_, {});
    const auto cache = Cache(config().blocks);
    const std::vector<int32_t> blocks = Count(0, 8);
    BatchRows rows(1, config().hidden_size);
    rows.Add({.tokens = tokens, .blocks = blocks});
    for (int64_t row = 0; row < rows.rows(); ++row) rows.WantLogits(row);
    std::vector<float> logits(tokens.size() * vocabulary());
    EXPECT_THAT((*loaded)->Forward(*backend_, rows.View(), cache.get(), logits), IsOk());
    return logits;
  }

  void RunStages(StageWalk& walk) {
    for (int stage = 0; stage + 1 < golden_->model->stages(); ++stage) {
      ASSERT_THAT(walk.RunStage(stage, NoProgress()), IsOk());
    }
  }
  // Of every row of `pass`.
  std::vector<float> Logits(StageWalk& walk, size_t pass, int64_t rows) {
    const auto head = walk.LoadHead();
    std::vector<float> logits(static_cast<size_t>(rows) * vocabulary());
    EXPECT_THAT(walk.Logits(**head, pass, Count(0, rows), logits), IsOk());
    return logits;
  }

  std::unique_ptr<GoldenModel> golden_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<WeightLoader> loader_;
  std::vector<int32_t> tokens_;
};

TEST_F(StageWalkTest, EqualsTheWholeModelBitForBit) {
  const std::span<const int32_t> all = tokens_, long_one = all.first(40), short_one = all.subspan(50, 9);
  const std::vector<int32_t> blocks = Count(0, 3), other_blocks = Count(3, 1);
  const auto cache = Cache(1);
  StageWalk walk(*golden_->model, *loader_, *backend_, *cache);
  const size_t first = walk.Add({.tokens = long_one, .blocks = blocks});
  const size_t second = walk.Add({.tokens = short_one, .blocks = other_blocks});
  walk.AddPass({{first, 0, 17}});
  walk.AddPass({{second, 0, 9}, {first, 17, 40}});
  RunStages(walk);
  std::vector<float> expected = Whole(short_one), whole = Whole(long_one);
  expected.insert(expected.end(), whole.begin() + static_cast<std::ptrdiff_t>(17 * vocabulary()), whole.end());
  EXPECT_EQ(Logits(walk, 1, 32), expected);
  whole.resize(17 * vocabulary());
  EXPECT_EQ(Logits(walk, 0, 17), whole);
}

TEST_F(StageWalkTest, ACacheOfAllLayersHoldsTheContextOfAnEarlierWalk) {
  const auto tokens = std::span<const int32_t>(tokens_).first(20);
  const std::vector<int32_t> blocks = Count(0, 2);
  const auto cache = Cache(config().blocks);
  std::vector<float> last;
  for (size_t begin : {size_t{0}, size_t{13}}) {
    const auto part = tokens.subspan(begin, begin == 0 ? 13 : 7);
    StageWalk walk(*golden_->model, *loader_, *backend_, *cache);
    walk.AddPass(
        {{walk.Add({.tokens = part, .context = static_cast<int64_t>(begin), .blocks = blocks}), 0, std::ssize(part)}});
    RunStages(walk);
    last = Logits(walk, 0, std::ssize(part));
  }
  const std::vector<float> whole = Whole(tokens);
  EXPECT_EQ(last, std::vector<float>(whole.begin() + static_cast<std::ptrdiff_t>(13 * vocabulary()), whole.end()));
}

// With a cache of one layer every stage writes it anew: what stands in a block is read in its own pass alone.
TEST_F(StageWalkTest, SequencesOfOtherPassesMayShareTheirBlocks) {
  const std::span<const int32_t> all = tokens_, first = all.first(30), second = all.subspan(33, 30);
  const std::vector<int32_t> blocks = Count(2, 2);
  const auto cache = Cache(1);
  StageWalk walk(*golden_->model, *loader_, *backend_, *cache);
  for (const auto tokens : {first, second}) walk.AddPass({{walk.Add({.tokens = tokens, .blocks = blocks}), 0, 30}});
  RunStages(walk);
  EXPECT_EQ(Logits(walk, 1, 30), Whole(second));
  EXPECT_EQ(Logits(walk, 0, 30), Whole(first));
}

TEST_F(StageWalkTest, TheHeadGivesTheLogitsOfTheRowsThatAreAskedForAndNoOthers) {
  const auto tokens = std::span<const int32_t>(tokens_).first(20);
  const std::vector<int32_t> blocks = Count(0, 2), rows = {3, 19};
  const auto cache = Cache(1);
  StageWalk walk(*golden_->model, *loader_, *backend_, *cache);
  walk.AddPass({{walk.Add({.tokens = tokens, .blocks = blocks}), 0, 20}});
  RunStages(walk);
  const auto head = walk.LoadHead();
  ASSERT_THAT(head, IsOk());
  const std::vector<float> whole = Whole(tokens);
  std::vector<float> logits(2 * vocabulary());
  for (int i = 0; i < 2; ++i) {  // the states are still there for a second question
    ASSERT_THAT(walk.Logits(**head, 0, rows, logits), IsOk());
    for (size_t row = 0; row < 2; ++row) {
      const auto expected = std::span(whole).subspan(static_cast<size_t>(rows[row]) * vocabulary(), vocabulary());
      EXPECT_TRUE(std::ranges::equal(std::span(logits).subspan(row * vocabulary(), vocabulary()), expected)) << row;
    }
  }
}

// Refuses the first question after so many.
class Patience final : public Progress {
 public:
  explicit Patience(int questions) : left_(questions) {}
  void Step(std::string_view, int64_t, int64_t) override {}
  void Log(std::string_view) override {}
  absl::Status Check() override { return left_-- > 0 ? absl::OkStatus() : absl::CancelledError("enough"); }

 private:
  int left_;
};

TEST_F(StageWalkTest, ProgressIsAskedOnceBeforeEveryPass) {
  const std::vector<int32_t> blocks = Count(0, 2);
  const auto cache = Cache(1);
  StageWalk walk(*golden_->model, *loader_, *backend_, *cache);
  const size_t sequence = walk.Add({.tokens = std::span<const int32_t>(tokens_).first(30), .blocks = blocks});
  for (int64_t begin = 0; begin < 30; begin += 10) walk.AddPass({{sequence, begin, begin + 10}});
  Patience enough(3), short_of_one(2);
  EXPECT_THAT(walk.RunStage(0, enough), IsOk());
  EXPECT_THAT(walk.RunStage(1, short_of_one), HasCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(walk.passes(), 3u);
  EXPECT_EQ(walk.pass(2).front().begin, 20);
}

TEST_F(StageWalkTest, AStageThatCannotBeLoadedEndsTheWalk) {
  class NoWeights final : public WeightLoader {
    absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override {
      return absl::DataLossError(spec.name);
    }
  } no_weights;
  const auto cache = Cache(1);
  StageWalk walk(*golden_->model, no_weights, *backend_, *cache);
  EXPECT_THAT(walk.RunStage(0, NoProgress()), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(walk.LoadHead(), HasCode(absl::StatusCode::kDataLoss));
}

TEST_F(StageWalkTest, WeightsOfOneStageAreAliveAtATime) {
  StageCounter counter(*loader_);
  const std::vector<int32_t> blocks = Count(0, 3);
  const auto cache = Cache(1);
  StageWalk walk(*golden_->model, counter, *backend_, *cache);
  walk.AddPass({{walk.Add({.tokens = std::span<const int32_t>(tokens_).first(40), .blocks = blocks}), 0, 40}});
  RunStages(walk);
  (void)Logits(walk, 0, 40);
  EXPECT_EQ(counter.most, 1);
}

TEST_F(StageWalkTest, ACancelIsSeenBeforeThePass) {
  const std::vector<int32_t> blocks = Count(0, 3);
  const auto cache = Cache(1);
  StageWalk walk(*golden_->model, *loader_, *backend_, *cache);
  walk.AddPass({{walk.Add({.tokens = std::span<const int32_t>(tokens_).first(40), .blocks = blocks}), 0, 40}});
  Patience none(0);
  EXPECT_THAT(walk.RunStage(0, none), HasCode(absl::StatusCode::kCancelled));
}

}  // namespace
}  // namespace gwq
