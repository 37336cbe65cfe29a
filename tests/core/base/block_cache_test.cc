#include "core/base/block_cache.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>

namespace gwq {
namespace {

constexpr size_t kBlock = size_t{1} << 20;

TEST(BlockCache, GivesTheSameBlockAgain) {
  BlockCache cache(0);
  void* const first = cache.Take(kBlock);
  ASSERT_NE(first, nullptr);
  std::memset(first, 7, kBlock);
  cache.Give(first);
  EXPECT_EQ(cache.unused_bytes(), kBlock);
  EXPECT_EQ(cache.Take(kBlock - 100), first) << "a little less fits";
  EXPECT_EQ(cache.unused_bytes(), 0U);
  cache.Give(first);
}

TEST(BlockCache, BlocksBeginAtAPage) {
  BlockCache cache(0);
  void* const block = cache.Take(kBlock + 1);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 4096, 0U);
  cache.Give(block);
}

TEST(BlockCache, ABlockThatIsMuchLargerIsNotTaken) {
  BlockCache cache(0);
  void* const large = cache.Take(8 * kBlock);
  cache.Give(large);
  void* const small = cache.Take(kBlock);
  EXPECT_EQ(cache.unused_bytes(), 0U) << "and goes back to the system";
  cache.Give(small);
}

TEST(BlockCache, ANewBlockTakesThePlaceOfThoseUnusedLongest) {
  BlockCache cache(0);
  void* const first = cache.Take(kBlock);
  void* const second = cache.Take(2 * kBlock);
  void* const third = cache.Take(4 * kBlock);
  for (void* const block : {first, second, third}) cache.Give(block);
  void* const other = cache.Take(3 * kBlock);
  EXPECT_EQ(cache.unused_bytes(), 4 * kBlock) << "7 blocks were held at most, and 3 + 4 are";
  EXPECT_EQ(cache.Take(4 * kBlock), third);
  cache.Give(third);
  cache.Give(other);
}

TEST(BlockCache, KeepsWhatMayBeSpare) {
  BlockCache cache(2 * kBlock);
  void* const first = cache.Take(kBlock);
  void* const second = cache.Take(2 * kBlock);
  for (void* const block : {first, second}) cache.Give(block);
  void* const other = cache.Take(4 * kBlock);
  EXPECT_EQ(cache.unused_bytes(), 2 * kBlock) << "the one unused longest is gone";
  EXPECT_EQ(cache.Take(2 * kBlock), second);
  cache.Give(second);
  cache.Give(other);
}

TEST(BlockCache, ReleaseLeavesBlocksInUse) {
  BlockCache cache(0);
  void* const used = cache.Take(kBlock);
  void* const unused = cache.Take(kBlock);
  cache.Give(unused);
  cache.Release();
  EXPECT_EQ(cache.unused_bytes(), 0U);
  std::memset(used, 1, kBlock);
  cache.Give(used);
}

TEST(BlockCache, DoesNotTakeABlockThatIsNotInUse) {
  BlockCache cache(0);
  char other = 0;
  EXPECT_FALSE(cache.Give(&other));
  void* const block = cache.Take(kBlock);
  EXPECT_TRUE(cache.Give(block));
  EXPECT_FALSE(cache.Give(block)) << "twice";
}

TEST(BlockCache, WhatTheSystemDoesNotHaveIsNull) {
  BlockCache cache(0);
  EXPECT_EQ(cache.Take(std::numeric_limits<size_t>::max()), nullptr);
  EXPECT_EQ(cache.Take(std::numeric_limits<size_t>::max() / 2), nullptr);
}

TEST(BlockCache, ThreadsDoNotShareABlock) {
  BlockCache cache(0);
  const auto work = [&cache](unsigned char mark) {
    for (int i = 0; i < 200; ++i) {
      auto* const block = static_cast<unsigned char*>(cache.Take(kBlock));
      ASSERT_NE(block, nullptr);
      block[0] = block[kBlock - 1] = mark;
      EXPECT_EQ(block[0], mark);
      EXPECT_EQ(block[kBlock - 1], mark);
      cache.Give(block);
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
}

}  // namespace
}  // namespace gwq
