// Rows do not depend on the other rows of a batch nor on how a sequence is cut, and what does not fit is refused.
#include <gmock/gmock.h>

#include <algorithm>

#include "core/base/status.h"
#include "tests/core/backend/backend_conformance.h"
#include "tests/core/backend/tiny_decoder.h"

namespace gwq::testing {
namespace {

constexpr int64_t kTokens = 23;

// Logits of a sequence, its rows cut into the given chunks.
std::vector<float> InChunks(Backend& backend, const TinyDecoder& decoder, int64_t sequence,
                            const std::vector<int64_t>& chunks) {
  const auto cache = backend.CreateKvCache(TinyDecoder::CacheShape(16)).value();
  std::vector<float> all;
  int64_t context = 0;
  for (int64_t rows : chunks) {
    const std::vector<float> logits = decoder.Run(cache.get(), {{sequence, context, rows}});
    all.insert(all.end(), logits.begin(), logits.end());
    context += rows;
  }
  return all;
}

TEST_P(BackendConformance, RowsAreBitwiseEqualUnderAnyChunking) {
  if (!GetParam().bitwise_rows || !GetParam().has_cache) GTEST_SKIP() << "the backend does not promise it";
  for (const WeightForm& form : AllForms()) {
    SCOPED_TRACE(form.name);
    const TinyDecoder decoder(*backend_, form, 21);
    const std::vector<float> whole = InChunks(*backend_, decoder, 0, {kTokens});
    ASSERT_EQ(whole.size(), static_cast<size_t>(kTokens * TinyDecoder::kVocabulary));
    EXPECT_EQ(InChunks(*backend_, decoder, 0, std::vector<int64_t>(kTokens, 1)), whole);
    EXPECT_EQ(InChunks(*backend_, decoder, 0, {1, 2, 3, 4, 5, 8}), whole);
    EXPECT_EQ(InChunks(*backend_, decoder, 0, {16, 7}), whole);
    EXPECT_EQ(InChunks(*backend_, decoder, 0, {6, 17}), whole);
  }
}

TEST_P(BackendConformance, RowsAreBitwiseEqualAloneAndInABatchOfEight) {
  if (!GetParam().bitwise_rows || !GetParam().has_cache) GTEST_SKIP() << "the backend does not promise it";
  for (const WeightForm& form : AllForms()) {
    SCOPED_TRACE(form.name);
    const TinyDecoder decoder(*backend_, form, 22);
    const auto cache = backend_->CreateKvCache(TinyDecoder::CacheShape(16)).value();
    // Eight sequences of different lengths prefilled together, then decoded together for three steps.
    std::vector<TinyDecoder::Part> parts;
    for (int64_t s = 0; s < 8; ++s) parts.push_back({s, 0, 3 + 2 * s});
    std::vector<std::vector<float>> together(8);
    for (int step = 0; step < 4; ++step) {
      const std::vector<float> logits = decoder.Run(cache.get(), parts);
      auto at = logits.begin();
      for (auto& part : parts) {
        auto& own = together[static_cast<size_t>(part.sequence)];
        own.insert(own.end(), at, at + part.rows * TinyDecoder::kVocabulary);
        at += part.rows * TinyDecoder::kVocabulary;
        part.context += part.rows;
        part.rows = 1;
      }
    }
    for (int64_t s = 0; s < 8; ++s) {
      EXPECT_EQ(together[static_cast<size_t>(s)], InChunks(*backend_, decoder, s, {3 + 2 * s, 1, 1, 1})) << s;
    }
  }
}

TEST_P(BackendConformance, AHundredRowsAreBitwiseEqualToTheSameRowsInTwoPasses) {
  if (!GetParam().bitwise_rows || !GetParam().has_cache) GTEST_SKIP() << "the backend does not promise it";
  const TinyDecoder decoder(*backend_, AllForms()[6], 23);
  EXPECT_EQ(InChunks(*backend_, decoder, 0, {100}), InChunks(*backend_, decoder, 0, {37, 63}));
}

TEST_P(BackendConformance, BlocksOfAnySizeGiveTheSameLogits) {
  if (!GetParam().has_cache) GTEST_SKIP() << "the backend has no cache";
  const TinyDecoder decoder(*backend_, AllForms()[0], 24);
  const auto logits = [&](int64_t block_tokens) {
    const auto cache = backend_->CreateKvCache(TinyDecoder::CacheShape(block_tokens)).value();
    return decoder.Run(cache.get(), {{3, 0, kTokens}});
  };
  const std::vector<float> expected = logits(16);
  for (int64_t block_tokens : {4, 7, 32}) {
    const std::vector<float> actual = logits(block_tokens);
    EXPECT_LE(RelativeError(actual, FromFloats(kTokens, TinyDecoder::kVocabulary, expected)), GetParam().tolerance);
  }
}

TEST_P(BackendConformance, AWeightTellsItsMemory) {
  std::mt19937 random(25);
  for (const WeightForm& form : AllForms()) {
    if (form.group_size < 64 || form.outlier_ratio > 0.1) continue;
    const TestWeight weight = RandomWeight(*backend_, form, 256, 256, random);
    const double bits = static_cast<double>(weight.weight->bytes()) * 8 / (256 * 256);
    const int code = form.bits == 7 ? 8 : form.bits;  // may take a byte
    const double stored = form.bits == 0 ? static_cast<double>(DTypeSize(form.type)) * 8 : form.bits;
    EXPECT_GE(bits, stored) << form.name;
    EXPECT_LE(bits, GetParam().max_bits_over_stored + std::max<double>(stored, code)) << form.name;
  }
}

struct Mistake {
  std::string name;
  std::function<void(Batch&)> apply;
  std::string field;
};

TEST_P(BackendConformance, ABatchThatDoesNotAddUpIsRefusedByField) {
  if (!GetParam().has_cache) GTEST_SKIP() << "the backend has no cache";
  const KvCacheShape shape{1, 2, 8, 16, 4};
  const auto cache = backend_->CreateKvCache(shape).value();
  const std::vector<int32_t> four(4, 0);
  const std::vector<float> floats(10, 0.0F);
  const std::vector<int32_t> blocks = {0, 4};
  const std::vector<int32_t> negative = {-1};
  const std::vector<int32_t> outputs_past = {0, 5};
  const std::vector<int32_t> outputs_twice = {1, 1};
  std::vector<SequenceRows> sequences;
  const auto one = [&](SequenceRows rows) {
    sequences = {rows};
    return std::span<const SequenceRows>(sequences);
  };
  const std::vector<int32_t> good = {0};
  const std::vector<Mistake> mistakes = {
      {"no rows", [&](Batch& b) { b.rows = 0; }, "batch.rows"},
      {"negative rows", [&](Batch& b) { b.rows = -3; }, "batch.rows"},
      {"tokens missing", [&](Batch& b) { b.tokens = {}; }, "batch.tokens"},
      {"tokens short", [&](Batch& b) { b.tokens = four; }, "batch.tokens"},
      {"embeddings", [&](Batch& b) { b.tokens = {}, b.embeddings = std::span(floats).subspan(1); }, "batch.embeddings"},
      {"axes", [&](Batch& b) { b.position_axes = 0; }, "batch.position_axes"},
      {"positions", [&](Batch& b) { b.position_axes = 3; }, "batch.positions"},
      {"uncovered", [&](Batch& b) { b.sequences = one({0, 4, 0, good}); }, "batch.sequences"},
      {"covered twice", [&](Batch& b) { b.sequences = one({0, 6, 0, good}); }, "batch.sequences[0]"},
      {"gap", [&](Batch& b) { b.sequences = one({1, 4, 0, good}); }, "batch.sequences[0]"},
      {"empty sequence", [&](Batch& b) { b.sequences = one({0, 0, 0, good}); }, "batch.sequences[0]"},
      {"context", [&](Batch& b) { b.sequences = one({0, 5, -1, good}); }, "batch.sequences[0]"},
      {"blocks short", [&](Batch& b) { b.sequences = one({0, 5, 12, good}); }, "batch.sequences[0]"},
      {"block past the cache", [&](Batch& b) { b.sequences = one({0, 5, 0, blocks}); }, "batch.sequences[0]"},
      {"negative block", [&](Batch& b) { b.sequences = one({0, 5, 0, negative}); }, "batch.sequences[0]"},
      {"output past the rows", [&](Batch& b) { b.output_rows = outputs_past; }, "batch.output_rows"},
      {"output twice", [&](Batch& b) { b.output_rows = outputs_twice; }, "batch.output_rows"},
  };
  for (const Mistake& mistake : mistakes) {
    TestBatch good_batch({5}, {0}, shape);
    Batch batch = good_batch.batch();
    ASSERT_TRUE(backend_->Begin(batch, cache.get()).ok());
    mistake.apply(batch);
    const auto pass = backend_->Begin(batch, cache.get());
    ASSERT_EQ(pass.status().code(), absl::StatusCode::kInvalidArgument) << mistake.name;
    ASSERT_EQ(FieldViolations(pass.status()).size(), 1u) << mistake.name;
    EXPECT_EQ(FieldViolations(pass.status())[0].field, mistake.field) << mistake.name;
  }
}

TEST_P(BackendConformance, TheFirstErrorOfAPassIsKeptAndWhatFollowsDoesNothing) {
  std::mt19937 random(26);
  const TestWeight table = RandomWeight(*backend_, AllForms()[0], 10, 16, random);
  const TestWeight wide = RandomWeight(*backend_, AllForms()[0], 16, 99, random);
  TestBatch batch(2);
  batch.tokens = {3, 10};
  const Batch description = batch.batch();
  auto pass = backend_->Begin(description, nullptr).value();
  Activation x = pass->Embed(*table.weight);
  const Activation y = pass->AddLinear(std::move(x), pass->Input({}, 99), {wide.weight.get(), nullptr});
  EXPECT_FALSE(y.valid());
  std::vector<float> out(32);
  const absl::Status status = pass->Read(y, out);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(MessageOf(status)), ::testing::HasSubstr("tokens[1]"));
  EXPECT_EQ(pass->Finish(), status);
}

TEST_P(BackendConformance, AMatrixOfTheWrongWidthIsAnError) {
  std::mt19937 random(27);
  const TestWeight wide = RandomWeight(*backend_, AllForms()[6], 16, 99, random);
  const std::vector<float> values(2 * 16, 1.0F);
  TestBatch batch(2);
  const Batch description = batch.batch();
  auto pass = backend_->Begin(description, nullptr).value();
  const Activation x = pass->Input(values, 16);
  const Activation y = pass->AddLinear(pass->Input(values, 16), x, {wide.weight.get(), nullptr});
  EXPECT_FALSE(y.valid());
  EXPECT_EQ(pass->Finish().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(BackendConformance, WeightsThatAreNoneAreRefused) {
  const std::vector<std::byte> bytes(64);
  EXPECT_FALSE(backend_->LoadDense({DType::kI32, {4, 4}, bytes}).ok());
  EXPECT_FALSE(backend_->LoadDense({DType::kF32, {4, 5}, bytes}).ok());
  EXPECT_FALSE(backend_->LoadDense({DType::kF32, {2, 2, 4}, bytes}).ok());
  EXPECT_FALSE(backend_->LoadDense({DType::kF32, {}, bytes}).ok());
}

}  // namespace
}  // namespace gwq::testing
