// Evaluation and generation against a whole model loaded at once.
#include "core/evaluation/text_walk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "core/backend/cpu/cpu_backend.h"
#include "core/calibration/generate.h"
#include "tests/support/golden_model.h"
#include "tests/support/status_matchers.h"

namespace gwq {
namespace {

using testing::FailsAt;
using testing::FilesWeightLoader;
using testing::GoldenModel;
using testing::HasCode;
using testing::IsOk;

// Gives norms of another model, so that two different models are compared.
class WithNorms final : public WeightLoader {
 public:
  WithNorms(WeightLoader& inner, Backend& backend, float norm) : inner_(inner), backend_(backend), norm_(norm) {}
  absl::StatusOr<std::shared_ptr<const Weight>> Load(const TensorSpec& spec) override {
    if (spec.kind != TensorKind::kNorm) return inner_.Load(spec);
    const std::vector<float> values(static_cast<size_t>(spec.shape[0]), norm_);
    return backend_.LoadDense({DType::kF32, spec.shape, std::as_bytes(std::span(values))});
  }

 private:
  WeightLoader& inner_;
  Backend& backend_;
  const float norm_;
};

class EvaluateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto golden = GoldenModel::Load("qwen2-untied-f32-v4");
    ASSERT_THAT(golden, IsOk());
    golden_ = std::make_unique<GoldenModel>(*std::move(golden));
    backend_ = *CreateCpuBackend({1, std::nullopt});
    original_ = std::make_unique<FilesWeightLoader>(*backend_, golden_->weights);
    artifact_ = std::make_unique<WithNorms>(*original_, *backend_, 2.0F);
    for (int i = 0; i < 23; ++i) tokens_.push_back(i * 7 % 64);
  }

  // Logits of a whole window, all stages at once.
  std::vector<float> Logits(WeightLoader& loader, std::span<const int32_t> window) {
    const auto loaded = LoadedModel::Load(golden_->model, loader, {});
    const ModelConfig& config = golden_->model->config();
    const auto cache =
        backend_->CreateKvCache({config.blocks, config.attention.kv_heads, config.attention.head_dim, 16, 3});
    std::vector<int32_t> positions(window.size());
    std::iota(positions.begin(), positions.end(), 0);
    const std::vector<int32_t> blocks = {0, 1, 2};
    const SequenceRows sequence{0, static_cast<int64_t>(window.size()), 0, blocks};
    Batch batch;
    batch.rows = sequence.rows;
    batch.tokens = window;
    batch.positions = positions;
    batch.sequences = {&sequence, 1};
    batch.output_rows = positions;
    std::vector<float> logits(window.size() * 64);
    EXPECT_THAT((*loaded)->Forward(*backend_, batch, cache->get(), logits), IsOk());
    return logits;
  }

  absl::StatusOr<TextEvaluation> Evaluate(WeightLoader& original, WeightLoader& artifact, int64_t window) {
    const ModelSide reference{*golden_->model, original};
    return EvaluateText({*golden_->model, artifact}, &reference, *backend_, tokens_, window, pool_, NoProgress());
  }

  std::unique_ptr<GoldenModel> golden_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<WeightLoader> original_, artifact_;
  std::vector<int32_t> tokens_;
  ThreadPool pool_{2};
};

std::vector<double> Softmax(std::span<const float> logits) {
  std::vector<double> out(logits.begin(), logits.end());
  const double top = *std::max_element(out.begin(), out.end());
  double sum = 0;
  for (double& value : out) sum += value = std::exp(value - top);
  for (double& value : out) value /= sum;
  return out;
}

TEST_F(EvaluateTest, EqualsTheDefinitionOnWholeModels) {
  const auto got = Evaluate(*original_, *artifact_, 10);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(got->windows, 2);  // three tokens are left over
  EXPECT_EQ(got->positions, 18);
  double nll[2] = {0, 0};
  std::vector<double> kl;
  int same = 0;
  for (size_t window = 0; window < 2; ++window) {
    const auto part = std::span<const int32_t>(tokens_).subspan(window * 10, 10);
    const std::vector<float> a = Logits(*original_, part);
    const std::vector<float> b = Logits(*artifact_, part);
    for (size_t i = 0; i < 9; ++i) {
      const auto p = Softmax(std::span(a).subspan(i * 64, 64));
      const auto q = Softmax(std::span(b).subspan(i * 64, 64));
      nll[0] -= std::log(p[static_cast<size_t>(part[i + 1])]);
      nll[1] -= std::log(q[static_cast<size_t>(part[i + 1])]);
      double sum = 0;
      for (size_t v = 0; v < 64; ++v) sum += p[v] * std::log(p[v] / q[v]);
      kl.push_back(sum);
      same += std::max_element(p.begin(), p.end()) - p.begin() == std::max_element(q.begin(), q.end()) - q.begin();
    }
  }
  // CpuBackend, F32 weights; rows do not depend on the batch, so only the order of sums differs.
  constexpr double kTolerance = 1e-9;
  const TextComparison& against = *got->reference;
  EXPECT_NEAR(against.perplexity, std::exp(nll[0] / 18), kTolerance * against.perplexity);
  EXPECT_NEAR(got->perplexity, std::exp(nll[1] / 18), kTolerance * got->perplexity);
  EXPECT_NEAR(against.mean_kl, std::accumulate(kl.begin(), kl.end(), 0.0) / 18, kTolerance);
  EXPECT_NEAR(against.p99_kl, *std::max_element(kl.begin(), kl.end()), kTolerance);
  EXPECT_EQ(against.same_top1, same / 18.0);
  EXPECT_GT(against.mean_kl, 1e-4);
  // Position by position: the two windows' values averaged.
  ASSERT_EQ(against.kl_by_position.size(), 9U);
  for (size_t i = 0; i < 9; ++i) {
    EXPECT_EQ(against.kl_by_position[i].first, static_cast<int64_t>(i));
    EXPECT_EQ(against.kl_by_position[i].count, 1);
    EXPECT_NEAR(against.kl_by_position[i].mean_kl, (kl[i] + kl[9 + i]) / 2, kTolerance);
  }
}

TEST_F(EvaluateTest, AModelEqualsItself) {
  const auto got = Evaluate(*original_, *original_, 23);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(got->reference->perplexity, got->perplexity);
  EXPECT_NEAR(got->reference->p99_kl, 0.0, 1e-12);
  EXPECT_EQ(got->reference->same_top1, 1.0);
}

TEST_F(EvaluateTest, LogitsThatAreNotFiniteAreAnErrorAndNoNumber) {
  WithNorms broken(*original_, *backend_, std::numeric_limits<float>::quiet_NaN());
  for (WeightLoader* const artifact : {&broken, static_cast<WithNorms*>(artifact_.get())}) {
    WeightLoader& original = artifact == &broken ? *original_ : static_cast<WeightLoader&>(broken);
    EXPECT_THAT(Evaluate(original, *artifact, 10), HasCode(absl::StatusCode::kInternal));
  }
}

TEST_F(EvaluateTest, RefusesAWindowThatDoesNotFit) {
  for (const int64_t window : {1, 24}) {
    EXPECT_THAT(Evaluate(*original_, *original_, window), FailsAt("window"));
  }
}

TEST_F(EvaluateTest, SampleIsGreedyTextsFromTheMostLikelyBeginnings) {
  constexpr int kTexts = 3;
  constexpr size_t kLength = 33;
  const auto sample = GenerateSample(*golden_->model, *original_, *backend_, 5, 3 * 33 - 1, {}, NoProgress());
  ASSERT_THAT(sample, IsOk());
  ASSERT_EQ(sample->size(), 3U * 33 - 1);
  for (int text = 0; text < kTexts; ++text) {
    const size_t from = static_cast<size_t>(text) * kLength;
    const auto part = std::span<const int32_t>(*sample).subspan(from, std::min(kLength, sample->size() - from));
    const std::vector<float> logits = Logits(*original_, part);
    EXPECT_EQ(part[0], 5);
    std::vector<float> first(logits.begin(), logits.begin() + 64);
    std::sort(first.begin(), first.end(), std::greater<>());
    EXPECT_EQ(logits[static_cast<size_t>(part[1])], first[static_cast<size_t>(text)]);
    for (size_t i = 1; i + 1 < part.size(); ++i) {
      const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * 64);
      EXPECT_EQ(part[i + 1], std::max_element(row, row + 64) - row) << "text " << text << ", token " << i;
    }
  }
}

TEST_F(EvaluateTest, ShortSampleIsOneTextAndLeavesOutWhatEndsIt) {
  const auto first = GenerateSample(*golden_->model, *original_, *backend_, 5, 8, {}, NoProgress());
  ASSERT_THAT(first, IsOk());
  EXPECT_EQ(first->size(), 8U);
  const int32_t banned = first->back();
  const auto second = GenerateSample(*golden_->model, *original_, *backend_, 5, 8, {banned}, NoProgress());
  EXPECT_THAT(*second, ::testing::Not(::testing::Contains(banned)));
}

}  // namespace
}  // namespace gwq
