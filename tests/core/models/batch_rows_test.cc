#include "core/models/batch_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/models/cache_shape.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;

TEST(PromptPositions, GoOnBehindThePromptByTheirDelta) {
  const PromptPositions positions{{0, 1, 2, 0, 5, 6}, 4};
  EXPECT_EQ(positions.At(0, 2, 2), 2);
  EXPECT_EQ(positions.At(1, 2, 1), 5);
  EXPECT_EQ(positions.At(0, 2, 3), 7);
  EXPECT_EQ(positions.At(1, 2, 3), 7);
  EXPECT_EQ(PromptPositions{}.At(2, 3, 9), 9) << "without positions a row has its index";
}

TEST(BatchRows, LayOutSequencesAxisByAxis) {
  const PromptPositions positions{{0, 0, 0, 7, 8, 9}, 1};
  const std::vector<int32_t> first = {5, 6}, second = {3}, blocks = {4};
  BatchRows rows(2, 1);
  rows.Add({.tokens = first, .context = 2, .blocks = blocks, .images = {}, .positions = &positions});
  EXPECT_EQ(rows.rows(), 2);
  rows.Add({.tokens = second, .context = 0, .blocks = blocks, .images = {}, .positions = nullptr});
  rows.WantLogits(1);
  rows.WantLogits(2);
  const Batch batch = rows.View();
  EXPECT_EQ(batch.rows, 3);
  EXPECT_THAT(batch.tokens, ElementsAre(5, 6, 3));
  EXPECT_THAT(batch.positions, ElementsAre(0, 4, 0, 9, 4, 0));
  EXPECT_THAT(batch.output_rows, ElementsAre(1, 2));
  EXPECT_EQ(batch.sequences[0].context, 2);
  EXPECT_EQ(batch.sequences[1].first_row, 2);
  EXPECT_EQ(CheckBatch(batch, {1, 1, 2, 16, 5}), absl::OkStatus());
}

TEST(BatchRows, RowsOfImagesAreNumberedAnewInTheBatch) {
  const std::vector<int32_t> tokens = {~2, 1, ~0};
  const std::vector<float> first = {0, 0, 1, 1, 2, 2}, second = {3, 3, 4, 4, 5, 5};
  BatchRows rows(1, 2);
  rows.Add({.tokens = tokens, .context = 0, .blocks = {}, .images = first, .positions = nullptr});
  rows.Add({.tokens = tokens, .context = 0, .blocks = {}, .images = second, .positions = nullptr});
  const Batch batch = rows.View();
  EXPECT_THAT(batch.tokens, ElementsAre(~0, 1, ~1, ~2, 1, ~3));
  EXPECT_THAT(batch.embeddings, ElementsAre(2, 2, 0, 0, 5, 5, 3, 3));
}

TEST(CacheShape, HoldsWholeBlocks) {
  EXPECT_EQ(CacheBlocksFor(0), 0);
  EXPECT_EQ(CacheBlocksFor(1), 1);
  EXPECT_EQ(CacheBlocksFor(kCacheBlockTokens), 1);
  EXPECT_EQ(CacheBlocksFor(kCacheBlockTokens + 1), 2);
  EXPECT_EQ(CacheBlocksFor(9, 4), 3);
  ModelConfig config;
  config.attention.kv_heads = 3;
  config.attention.head_dim = 8;
  EXPECT_EQ(CacheShapeFor(config, 2, 5), (KvCacheShape{2, 3, 8, kCacheBlockTokens, 5}));
  EXPECT_EQ(CacheTokenBytes(config, 2), 2 * 2 * 3 * 8 * 4);
}

}  // namespace
}  // namespace gwq
