#include "tests/support/cached_sequences.h"

#include <algorithm>
#include <numeric>

#include "core/base/status.h"

namespace gwq::testing {

absl::StatusOr<CachedSequences> CachedSequences::Create(Backend& backend, const LoadedModel& model,
                                                        std::vector<std::vector<int32_t>> sequences,
                                                        int64_t block_tokens) {
  CachedSequences out(backend, model);
  const auto count = static_cast<int64_t>(sequences.size());
  int64_t longest = 0;
  for (const auto& tokens : sequences) longest = std::max(longest, static_cast<int64_t>(tokens.size()));
  const int64_t each = (longest + block_tokens - 1) / block_tokens;
  const ModelConfig& config = model.model().config();
  GWQ_ASSIGN_OR_RETURN(out.cache_, backend.CreateKvCache({config.blocks, config.attention.kv_heads,
                                                          config.attention.head_dim, block_tokens, count * each}));
  for (int64_t sequence = 0; sequence < count; ++sequence) {
    std::vector<int32_t> table;
    for (int64_t i = each; i-- > 0;) table.push_back(static_cast<int32_t>(i * count + sequence));
    out.tables_.push_back(std::move(table));
  }
  out.sequences_ = std::move(sequences);
  return out;
}

absl::StatusOr<std::vector<float>> CachedSequences::Feed(std::span<const Chunk> chunks) {
  std::vector<int32_t> tokens;
  std::vector<int32_t> positions;
  std::vector<SequenceRows> rows;
  for (const Chunk& chunk : chunks) {
    const auto index = static_cast<size_t>(chunk.sequence);
    const auto used = static_cast<size_t>(chunk.end);
    rows.push_back({static_cast<int64_t>(tokens.size()), chunk.end - chunk.begin, chunk.begin, tables_[index]});
    for (size_t i = static_cast<size_t>(chunk.begin); i < used; ++i) {
      tokens.push_back(sequences_[index][i]);
      positions.push_back(static_cast<int32_t>(i));
    }
  }
  std::vector<int32_t> output_rows(tokens.size());
  std::iota(output_rows.begin(), output_rows.end(), 0);
  Batch batch;
  batch.rows = static_cast<int64_t>(tokens.size());
  batch.tokens = tokens;
  batch.positions = positions;
  batch.sequences = rows;
  batch.output_rows = output_rows;
  std::vector<float> logits(tokens.size() * static_cast<size_t>(model_->model().config().vocab_size));
  GWQ_RETURN_IF_ERROR(model_->Forward(*backend_, batch, cache_.get(), logits));
  return logits;
}

absl::StatusOr<std::vector<std::vector<float>>> CachedSequences::FeedApart(std::span<const Chunk> chunks) {
  GWQ_ASSIGN_OR_RETURN(const std::vector<float> all, Feed(chunks));
  const auto vocabulary = static_cast<size_t>(model_->model().config().vocab_size);
  std::vector<std::vector<float>> apart;
  size_t next = 0;
  for (const Chunk& chunk : chunks) {
    const size_t size = static_cast<size_t>(chunk.end - chunk.begin) * vocabulary;
    apart.emplace_back(all.begin() + static_cast<std::ptrdiff_t>(next),
                       all.begin() + static_cast<std::ptrdiff_t>(next + size));
    next += size;
  }
  return apart;
}

}  // namespace gwq::testing
