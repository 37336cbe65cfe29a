#include "tests/core/backend/tiny_decoder.h"

#include <cmath>
#include <utility>

#include "tests/core/backend/backend_conformance.h"

namespace gwq::testing {
namespace {

constexpr int64_t kHidden = 96;
constexpr int64_t kIntermediate = 150;
constexpr AttentionShape kAttention = {6, 2, 20, 0.22F};
constexpr int kSequences = 8;

}  // namespace

KvCacheShape TinyDecoder::CacheShape(int64_t block_tokens) {
  return {2, kAttention.kv_heads, kAttention.head_dim, block_tokens, 16 * kSequences};
}

TinyDecoder::TinyDecoder(Backend& backend, const WeightForm& form, unsigned seed) : backend_(backend) {
  std::mt19937 random(seed);
  const int64_t width = kAttention.heads * kAttention.head_dim;
  const int64_t kv_width = kAttention.kv_heads * kAttention.head_dim;
  for (int64_t i = 0; i < kAttention.head_dim / 2; ++i) {
    rope_.inverse_frequencies.push_back(std::pow(500.0F, -0.1F * static_cast<float>(i)));
  }
  const auto matrix = [&](int64_t out, int64_t in) { return RandomWeight(backend, form, out, in, random); };
  const auto vector = [&](int64_t size, double mean) { return RandomVector(backend, size, mean, random); };
  table_ = matrix(kVocabulary, kHidden);
  norm_ = vector(kHidden, 1.0);
  for (int i = 0; i < 2; ++i) {
    Block block;
    block.norm1 = vector(kHidden, 1.0);
    block.q = matrix(width, kHidden);
    block.k = matrix(kv_width, kHidden);
    block.v = matrix(kv_width, kHidden);
    block.k_bias = vector(kv_width, 0.0);
    block.o = matrix(kHidden, width);
    block.norm2 = vector(kHidden, 1.0);
    block.gate = matrix(kIntermediate, kHidden);
    block.up = matrix(kIntermediate, kHidden);
    block.down = matrix(kHidden, kIntermediate);
    blocks_.push_back(std::move(block));
  }
}

Activation TinyDecoder::RunBlocks(Pass& pass, Activation x) const {
  for (int i = 0; i < 2; ++i) {
    const Block& block = blocks_[static_cast<size_t>(i)];
    const auto linear = [](const TestWeight& weight) { return Linear{weight.weight.get(), nullptr}; };
    const Activation queries =
        pass.Queries(i, x, {block.norm1.weight.get(), 1e-5F}, linear(block.q),
                     {block.k.weight.get(), block.k_bias.weight.get()}, linear(block.v), rope_, kAttention);
    const Activation mixed = pass.Attend(i, queries, kAttention);
    x = pass.AddLinear(std::move(x), mixed, linear(block.o));
    const Activation gated =
        pass.GatedUp(x, {block.norm2.weight.get(), 1e-5F}, linear(block.gate), linear(block.up), Gate::kSilu);
    x = pass.AddLinear(std::move(x), gated, linear(block.down));
  }
  return x;
}

std::vector<float> TinyDecoder::Run(KvCache* cache, const std::vector<Part>& parts) const {
  std::vector<int64_t> lengths;
  std::vector<int64_t> contexts;
  for (const Part& part : parts) {
    lengths.push_back(part.rows);
    contexts.push_back(part.context);
  }
  TestBatch batch(lengths, contexts, {});
  size_t row = 0;
  std::vector<float> embeddings;
  for (size_t i = 0; i < parts.size(); ++i) {
    for (int64_t t = 0; t < parts[i].rows; ++t, ++row) {
      const int64_t position = parts[i].context + t;
      batch.tokens[row] = Token(parts[i].sequence, position);
      if (position < parts[i].image.first || position >= parts[i].image.second) continue;
      batch.tokens[row] = ~static_cast<int32_t>(embeddings.size() / kHidden);
      for (int64_t col = 0; col < kHidden; ++col) {
        embeddings.push_back(std::sin(static_cast<float>(parts[i].sequence * 977 + position * 131 + col)));
      }
    }
    const int64_t block_tokens = cache == nullptr ? 1 : cache->shape().block_tokens;
    const int64_t needed = cache == nullptr ? 0 : (parts[i].context + parts[i].rows + block_tokens - 1) / block_tokens;
    for (int64_t b = 0; b < needed; ++b) {
      batch.blocks[i].push_back(static_cast<int32_t>(parts[i].sequence + b * kSequences));
    }
    batch.sequences[i].blocks = batch.blocks[i];
  }
  Batch description = batch.batch();
  description.embeddings = embeddings;
  auto pass = backend_.Begin(description, cache);
  EXPECT_TRUE(pass.ok()) << pass.status();
  if (!pass.ok()) return {};
  const Activation x = RunBlocks(**pass, (*pass)->Embed(*table_.weight));
  const Activation logits = (*pass)->Head(x, {norm_.weight.get(), 1e-5F}, {table_.weight.get(), nullptr});
  return ReadAll(**pass, logits, description.rows);
}

}  // namespace gwq::testing
