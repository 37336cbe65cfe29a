#include "core/backend/batch.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/base/status.h"

namespace gwq {
namespace {

// Cache indices are computed as 64-bit products of sizes below these.
constexpr int64_t kMaxRows = int64_t{1} << 24;
constexpr int64_t kMaxContext = int64_t{1} << 31;

bool IsBatchOfRows(const Batch& batch) {
  return batch.tokens.empty() && batch.embeddings.empty() && batch.positions.empty() && batch.sequences.empty() &&
         batch.output_rows.empty();
}

absl::Status CheckRows(const Batch& batch) {
  if (batch.rows >= 1 && batch.rows <= kMaxRows) return absl::OkStatus();
  return InvalidField("batch.rows", fmt::format("{} is outside [1, {}]", batch.rows, kMaxRows));
}

absl::Status CheckInputs(const Batch& batch) {
  GWQ_RETURN_IF_ERROR(CheckRows(batch));
  const auto rows = static_cast<size_t>(batch.rows);
  if (batch.tokens.empty() && batch.embeddings.empty()) {
    return InvalidField("batch.tokens", "give tokens or embeddings");
  }
  if (!batch.tokens.empty() && batch.tokens.size() != rows) {
    return InvalidField("batch.tokens", fmt::format("{} tokens for {} rows", batch.tokens.size(), rows));
  }
  // With tokens, each of them tells its row; the width is the embedding table's, which only the pass knows.
  if (batch.tokens.empty() && batch.embeddings.size() % rows != 0) {
    return InvalidField("batch.embeddings",
                        fmt::format("{} values do not divide into {} rows", batch.embeddings.size(), rows));
  }
  if (batch.position_axes < 1 || batch.position_axes > 4) {
    return InvalidField("batch.position_axes", fmt::format("{} is outside [1, 4]", batch.position_axes));
  }
  if (batch.positions.size() != rows * static_cast<size_t>(batch.position_axes)) {
    return InvalidField("batch.positions", fmt::format("{} positions for {} rows of {} axes", batch.positions.size(),
                                                       rows, batch.position_axes));
  }
  return absl::OkStatus();
}

absl::Status CheckSequence(const SequenceRows& sequence, int64_t expected_row, const KvCacheShape& cache,
                           std::string_view field) {
  if (sequence.first_row != expected_row || sequence.rows < 1) {
    return InvalidField(field, fmt::format("{} rows from row {}: sequences cover the rows in order, row {} is next",
                                           sequence.rows, sequence.first_row, expected_row));
  }
  if (sequence.context < 0 || sequence.context > kMaxContext) {
    return InvalidField(field, fmt::format("context {} is outside [0, {}]", sequence.context, kMaxContext));
  }
  if (cache.layers == 0) {
    if (sequence.context == 0) return absl::OkStatus();
    return InvalidField(field, fmt::format("context {} without a cache", sequence.context));
  }
  const auto covered = static_cast<int64_t>(sequence.blocks.size()) * cache.block_tokens;
  if (covered < sequence.context + sequence.rows) {
    return InvalidField(field, fmt::format("{} blocks of {} tokens do not cover {} + {} tokens", sequence.blocks.size(),
                                           cache.block_tokens, sequence.context, sequence.rows));
  }
  for (int32_t block : sequence.blocks) {
    if (block < 0 || block >= cache.blocks) {
      return InvalidField(field, fmt::format("block {} of a cache of {}", block, cache.blocks));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckBatch(const Batch& batch, const KvCacheShape& cache) {
  if (IsBatchOfRows(batch)) return CheckRows(batch);
  GWQ_RETURN_IF_ERROR(CheckInputs(batch));
  int64_t row = 0;
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    const SequenceRows& sequence = batch.sequences[i];
    GWQ_RETURN_IF_ERROR(CheckSequence(sequence, row, cache, fmt::format("batch.sequences[{}]", i)));
    if (sequence.rows > batch.rows - row) {
      return InvalidField(fmt::format("batch.sequences[{}]", i),
                          fmt::format("{} rows from row {}, the batch has {}", sequence.rows, row, batch.rows));
    }
    row += sequence.rows;
  }
  if (row != batch.rows) {
    return InvalidField("batch.sequences", fmt::format("they cover {} of {} rows", row, batch.rows));
  }
  int64_t previous = -1;
  for (int32_t output : batch.output_rows) {
    if (output <= previous || output >= batch.rows) {
      return InvalidField("batch.output_rows", fmt::format("{} after {}: they increase strictly and stay below {}",
                                                           output, previous, batch.rows));
    }
    previous = output;
  }
  return absl::OkStatus();
}

absl::Status CheckTokens(const Batch& batch, int64_t vocabulary, int64_t hidden) {
  const auto floats = static_cast<int64_t>(batch.embeddings.size());
  if (floats % hidden != 0) {
    return InvalidField("batch.embeddings", fmt::format("{} values do not divide into rows of {}", floats, hidden));
  }
  const int64_t rows = floats / hidden;
  for (size_t i = 0; i < batch.tokens.size(); ++i) {
    const int64_t token = batch.tokens[i];
    if (token < vocabulary && ~token < rows) continue;
    const std::string problem = token < 0 ? fmt::format("{} stands for row {} of {} embeddings", token, ~token, rows)
                                          : fmt::format("{} is outside the vocabulary of {}", token, vocabulary);
    return InvalidField(fmt::format("batch.tokens[{}]", i), problem);
  }
  return absl::OkStatus();
}

}  // namespace gwq
