#include "tests/support/logits_conformance.h"

#include <gtest/gtest.h>

#include "core/base/status.h"
#include "tests/support/cached_sequences.h"
#include "tests/support/golden_model.h"

namespace gwq::testing {
namespace {

using Chunk = CachedSequences::Chunk;

constexpr int64_t kBlockTokens = 4;  // so that the sequences span several blocks
constexpr std::string_view kNames[] = {"a", "b", "c"};

class LogitsCheck {
 public:
  LogitsCheck(Backend& backend, const GoldenModel& golden, const LoadedModel& model, double tolerance)
      : backend_(backend), golden_(golden), model_(model), tolerance_(tolerance) {}

  // Feeds the batches to fresh sequences and compares the rows of every chunk.
  void Run(const std::vector<std::vector<Chunk>>& batches) {
    std::vector<std::vector<int32_t>> tokens;
    for (const std::string_view name : kNames) tokens.push_back(golden_.Tokens(name));
    auto sequences = CachedSequences::Create(backend_, model_, tokens, kBlockTokens);
    ASSERT_TRUE(sequences.ok()) << sequences.status();
    for (const std::vector<Chunk>& batch : batches) {
      const auto logits = sequences->FeedApart(batch);
      ASSERT_TRUE(logits.ok()) << logits.status();
      for (size_t i = 0; i < batch.size(); ++i) ExpectRows(batch[i], (*logits)[i]);
    }
  }

 private:
  void ExpectRows(const Chunk& chunk, std::span<const float> logits) {
    const std::string name = "logits." + std::string(kNames[chunk.sequence]);
    const std::vector<float> all = golden_.Floats(name);
    const auto vocabulary = static_cast<size_t>(golden_.model->config().vocab_size);
    const auto begin = static_cast<size_t>(chunk.begin) * vocabulary;
    ASSERT_LE(begin + logits.size(), all.size());
    const double difference = MaxDifference(logits, std::span(all).subspan(begin, logits.size()));
    EXPECT_LE(difference, tolerance_) << name << " rows " << chunk.begin << " to " << chunk.end;
  }

  Backend& backend_;
  const GoldenModel& golden_;
  const LoadedModel& model_;
  const double tolerance_;
};

}  // namespace

void ExpectGoldenLogits(Backend& backend, const std::string& name, double tolerance) {
  SCOPED_TRACE(name);
  const auto golden = GoldenModel::Load(name);
  ASSERT_TRUE(golden.ok()) << golden.status();
  FilesWeightLoader loader(backend, golden->weights);
  const auto model = LoadedModel::Load(golden->model, loader, nullptr);
  ASSERT_TRUE(model.ok()) << model.status();
  LogitsCheck check(backend, *golden, **model, tolerance);

  check.Run({{{0, 0, 13}}});
  check.Run({{{1, 0, 5}}, {{2, 0, 9}}});
  std::vector<std::vector<Chunk>> one_by_one;
  for (int64_t i = 0; i < 13; ++i) one_by_one.push_back({{0, i, i + 1}});
  check.Run(one_by_one);
  check.Run({{{0, 0, 8}, {2, 0, 3}}, {{2, 3, 7}, {0, 8, 9}, {1, 0, 5}}, {{0, 9, 13}, {2, 7, 9}}});
}

}  // namespace gwq::testing
