// Numbers that are the same everywhere (Draw), and names that are never the same (RandomId).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "core/base/draw.h"
#include "core/base/random_id.h"

namespace gwq {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;

// The first outputs of the authors' splitmix64.c for these seeds. Stored samples and outliers depend on them.
TEST(Draw, GivesThePublishedNumbers) {
  EXPECT_THAT((std::vector<uint64_t>{Draw(1234567, 0), Draw(1234567, 1), Draw(1234567, 2)}),
              ElementsAre(6457827717110365317U, 3203168211198807973U, 9817491932198370423U));
  EXPECT_EQ(Draw(0, 0), 0xE220A8397B1DCDAFU);
}

TEST(Draw, NeitherNeighbouringSeedsNorIndicesShareNumbers) {
  std::set<uint64_t> seen;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (uint64_t index = 0; index < 100; ++index) seen.insert(Draw(seed, index));
  }
  EXPECT_THAT(seen, SizeIs(100 * 100));
}

TEST(RandomId, HasTwentySixCharactersOfItsAlphabetAndUsesAllOfThemEverywhere) {
  std::vector<std::set<char>> used(26);
  for (int i = 0; i < 2000; ++i) {
    const std::string id = RandomId();
    ASSERT_THAT(id, SizeIs(26));
    ASSERT_EQ(id.find_first_not_of("abcdefghijklmnopqrstuvwxyz234567"), std::string::npos) << id;
    for (size_t at = 0; at < id.size(); ++at) used[at].insert(id[at]);
  }
  // That one of the 32 is missing at one of the places has a probability below 1e-24.
  for (const std::set<char>& letters : used) EXPECT_THAT(letters, SizeIs(32));
}

TEST(RandomId, NoTwoThreadsGetTheSame) {
  std::vector<std::vector<std::string>> ids(4);
  std::vector<std::thread> threads;
  for (std::vector<std::string>& mine : ids) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < 500; ++i) mine.push_back(RandomId());
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<std::string> all;
  for (const std::vector<std::string>& mine : ids) all.insert(mine.begin(), mine.end());
  EXPECT_THAT(all, SizeIs(4 * 500));
}

}  // namespace
}  // namespace gwq
