#include "core/engine/block_pool.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

namespace gwq {
namespace {

TEST(BlockPool, CoversTokensInWholeBlocks) {
  BlockPool pool(4, 16);
  BlockTable table(pool);
  ASSERT_TRUE(table.Cover(1));
  EXPECT_EQ(table.blocks().size(), 1u);
  ASSERT_TRUE(table.Cover(16));
  EXPECT_EQ(table.blocks().size(), 1u);
  ASSERT_TRUE(table.Cover(17));
  EXPECT_EQ(table.blocks().size(), 2u);
  EXPECT_EQ(pool.free(), 2);
}

TEST(BlockPool, TakesNothingWhereTooFewAreFree) {
  BlockPool pool(4, 16);
  BlockTable table(pool);
  ASSERT_TRUE(table.Cover(48));
  BlockTable other(pool);
  EXPECT_FALSE(other.Cover(17));
  EXPECT_TRUE(other.blocks().empty());
  EXPECT_EQ(pool.free(), 1);
}

TEST(BlockPool, AMovedFromTableHoldsNothing) {
  BlockPool pool(4, 16);
  BlockTable table(pool);
  ASSERT_TRUE(table.Cover(20));
  {
    BlockTable taken = std::move(table);
    EXPECT_EQ(pool.free(), 2);
    table = BlockTable(pool);
    ASSERT_TRUE(table.Cover(5));
    table = std::move(taken);
    EXPECT_EQ(pool.free(), 2);
  }
  table.Clear();
  EXPECT_EQ(pool.free(), 4);
}

// Random growing, sharing and dropping against a model of who holds what.
TEST(BlockPool, NeverLeaksNorGivesABlockTwice) {
  std::mt19937 random(7);
  BlockPool pool(64, 16);
  std::vector<BlockTable> tables;
  for (int step = 0; step < 20000; ++step) {
    const auto pick = [&] { return static_cast<size_t>(random() % tables.size()); };
    switch (random() % 4) {
      case 0:
        tables.emplace_back(pool);
        (void)tables.back().Cover(1 + static_cast<int64_t>(random() % 160));
        break;
      case 1:
        if (!tables.empty()) {
          BlockTable& table = tables[pick()];
          (void)table.Cover(static_cast<int64_t>(table.blocks().size()) * 16 + static_cast<int64_t>(random() % 40));
        }
        break;
      case 2:
        if (!tables.empty()) {
          const BlockTable& table = tables[pick()];
          tables.push_back(table.SharePrefix(static_cast<int64_t>(random() % (table.blocks().size() + 1))));
        }
        break;
      default:
        if (!tables.empty()) {
          std::swap(tables[pick()], tables.back());
          tables.pop_back();
        }
    }
    std::map<int32_t, int> held;
    for (const BlockTable& table : tables) {
      std::set<int32_t> own(table.blocks().begin(), table.blocks().end());
      ASSERT_EQ(own.size(), table.blocks().size()) << "a table holds a block twice";
      for (int32_t block : own) ++held[block];
    }
    ASSERT_EQ(pool.free(), pool.total() - static_cast<int64_t>(held.size()));
    for (int32_t block = 0; block < pool.total(); ++block) {
      const auto found = held.find(block);
      ASSERT_EQ(pool.references(block), found == held.end() ? 0 : found->second);
    }
  }
  tables.clear();
  EXPECT_EQ(pool.free(), pool.total());
}

}  // namespace
}  // namespace gwq
