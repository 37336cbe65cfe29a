#include "core/backend/torch/torch_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/status.h"
#include "tests/core/backend/backend_conformance.h"
#include "tests/support/cached_sequences.h"
#include "tests/support/golden_model.h"
#include "tests/support/logits_conformance.h"

namespace gwq {
namespace testing {
namespace {

std::vector<BackendCase> Cases() {
  std::vector<BackendCase> cases;
  for (const int threads : {1, 2}) {
    BackendCase backend;
    backend.name = "threads" + std::to_string(threads);
    backend.create = [threads]() -> absl::StatusOr<std::unique_ptr<Backend>> {
      return TorchBackend::Create({threads});
    };
    backend.tolerance = 1e-5;
    backend.bitwise_rows = false;
    backend.max_bits_over_stored = 32;  // every weight is held in single precision
    cases.push_back(backend);
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Torch, BackendConformance, ::testing::ValuesIn(Cases()), CaseName);

}  // namespace
}  // namespace testing

namespace {

using testing::CachedSequences;
using testing::FilesWeightLoader;
using testing::GoldenModel;
using ::testing::HasSubstr;

// fp32 on the CPU against transformers' fp32.
constexpr double kLogitsTolerance = 1e-4;
// Largest difference of a row to itself in another batch; torch_backend.h says it to users.
constexpr double kRowTolerance = 1e-5;

std::unique_ptr<TorchBackend> NewBackend(int threads = 1) {
  auto backend = TorchBackend::Create({threads});
  EXPECT_TRUE(backend.ok()) << backend.status();
  return *std::move(backend);
}

template <class T>
TensorView ViewOf(const std::vector<T>& values, Shape shape, DType type = DType::kF32) {
  return {type, std::move(shape), std::as_bytes(std::span(values))};
}

class TorchLogits : public ::testing::TestWithParam<std::string> {};

TEST_P(TorchLogits, EqualTransformersInPrefillDecodingAndMixedBatches) {
  const auto backend = NewBackend();
  testing::ExpectGoldenLogits(*backend, GetParam(), kLogitsTolerance);
}

INSTANTIATE_TEST_SUITE_P(Models, TorchLogits, ::testing::ValuesIn(testing::GoldenModelNames()), [](const auto& which) {
  std::string name = which.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(TorchBackend, RowsAgreeAloneAndInABatchWithinTheStatedTolerance) {
  const auto backend = NewBackend();
  const auto golden = GoldenModel::Load("llama-untied-f32-v5");
  ASSERT_TRUE(golden.ok()) << golden.status();
  FilesWeightLoader loader(*backend, golden->weights);
  const auto model = LoadedModel::Load(golden->model, loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  const std::vector<std::vector<int32_t>> tokens = {golden->Tokens("a"), golden->Tokens("b"), golden->Tokens("c")};
  auto alone = CachedSequences::Create(*backend, **model, tokens, 4);
  auto together = CachedSequences::Create(*backend, **model, tokens, 4);
  ASSERT_TRUE(alone.ok() && together.ok());
  const auto one = alone->Feed(std::vector<CachedSequences::Chunk>{{1, 0, 5}});
  const auto many = together->FeedApart(std::vector<CachedSequences::Chunk>{{0, 0, 13}, {1, 0, 5}, {2, 0, 9}});
  ASSERT_TRUE(one.ok() && many.ok());
  EXPECT_LE(testing::MaxDifference(*one, (*many)[1]), kRowTolerance);
}

TEST(TorchBackend, WithoutACacheKeysLiveInThePass) {
  const auto backend = NewBackend();
  const auto golden = GoldenModel::Load("qwen2-untied-f32-v4");
  ASSERT_TRUE(golden.ok()) << golden.status();
  FilesWeightLoader loader(*backend, golden->weights);
  const auto model = LoadedModel::Load(golden->model, loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  const std::vector<int32_t> tokens = golden->Tokens("a");
  std::vector<int32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<SequenceRows> rows = {{0, static_cast<int64_t>(tokens.size()), 0, {}}};
  const std::vector<int32_t> last = {static_cast<int32_t>(tokens.size()) - 1};
  Batch batch;
  batch.rows = static_cast<int64_t>(tokens.size());
  batch.tokens = tokens;
  batch.positions = positions;
  batch.sequences = rows;
  batch.output_rows = last;
  std::vector<float> logits(64);
  const absl::Status status = (*model)->Forward(*backend, batch, nullptr, logits);
  ASSERT_TRUE(status.ok()) << status;
  const std::vector<float> all = golden->Floats("logits.a");
  EXPECT_LE(testing::MaxDifference(logits, std::span(all).last(64)), kLogitsTolerance);
}

TEST(TorchBackend, APackedMatrixIsItsDequantizedValues) {
  PackedContent content;
  content.shape = {.rows = 2, .cols = 16, .bits = 4, .group_size = 8, .outliers = 1};
  for (uint8_t i = 0; i < 32; ++i) content.codes.push_back(i % 16);
  content.codes[5] = 3;
  content.scales.assign(4, FloatToHalf(0.5F));
  content.zeros.assign(4, 3);
  content.outlier_positions = {5};
  content.outlier_values = {FloatToHalf(7.25F)};
  const auto bytes = EncodePacked(content);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const auto view = PackedView::Open(*bytes);
  ASSERT_TRUE(view.ok()) << view.status();

  const auto backend = NewBackend();
  const auto weight = backend->LoadPacked(*view);
  ASSERT_TRUE(weight.ok()) << weight.status();
  EXPECT_EQ((*weight)->shape(), (Shape{2, 16}));
  EXPECT_EQ((*weight)->bytes(), 32 * sizeof(float));
  // Embedding row 0 reads the matrix back.
  const std::vector<int32_t> zero = {0};
  const std::vector<SequenceRows> rows = {{0, 1, 0, {}}};
  Batch batch;
  batch.rows = 1;
  batch.tokens = zero;
  batch.positions = zero;
  batch.sequences = rows;
  const auto pass = backend->Begin(batch, nullptr);
  ASSERT_TRUE(pass.ok()) << pass.status();
  std::vector<float> row(16);
  ASSERT_TRUE((*pass)->Read((*pass)->Embed(**weight), row).ok());
  EXPECT_EQ(row[0], -1.5F);
  EXPECT_EQ(row[15], 6.0F);
  EXPECT_EQ(row[5], 7.25F);
}

TEST(TorchBackend, RefusesWeightsThatAreNoMatrices) {
  const auto backend = NewBackend();
  const std::vector<float> values(8);
  EXPECT_EQ(backend->LoadDense(ViewOf(values, {2, 2, 2})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(backend->LoadDense(ViewOf(values, {})).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(backend->LoadDense(ViewOf(values, {9})).status().code(), absl::StatusCode::kInvalidArgument);
  const std::vector<int32_t> integers(4);
  EXPECT_EQ(backend->LoadDense(ViewOf(integers, {4}, DType::kI32)).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TorchBackend, MemoryThatCannotBeHadIsResourceExhausted) {
  const auto backend = NewBackend();
  const int64_t blocks = int64_t{1} << 40;
  const auto cache = backend->CreateKvCache({.layers = 1, .kv_heads = 8, .head_dim = 64, .blocks = blocks});
  EXPECT_EQ(cache.status().code(), absl::StatusCode::kResourceExhausted) << cache.status();
}

TEST(TorchBackend, RefusesThreadsOutOfRange) {
  EXPECT_EQ(TorchBackend::Create({0}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(TorchBackend::Create({5000}).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(TorchBackend, ABatchWithContextNeedsACache) {
  const auto backend = NewBackend();
  const std::vector<int32_t> token = {0};
  const std::vector<SequenceRows> rows = {{0, 1, 3, {}}};
  Batch batch;
  batch.rows = 1;
  batch.tokens = token;
  batch.positions = token;
  batch.sequences = rows;
  const absl::Status status = backend->Begin(batch, nullptr).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MessageOf(status)), HasSubstr("context 3"));
}

}  // namespace
}  // namespace gwq
