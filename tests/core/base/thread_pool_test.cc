#include "core/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <latch>
#include <numeric>

namespace gwq {
namespace {

TEST(ExecutorTest, RunsWhatWasAcceptedBeforeItGoes) {
  std::atomic<int> ran{0};
  {
    Executor executor(2, 1000);
    for (int i = 0; i < 500; ++i) ASSERT_TRUE(executor.Post([&] { ran.fetch_add(1); }).ok());
  }
  EXPECT_EQ(ran.load(), 500);
}

TEST(ExecutorTest, AFullQueueRefusesAndSaysTheLimit) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::promise<void> started;
  {
    Executor executor(1, 2);
    ASSERT_TRUE(executor
                    .Post([&] {
                      started.set_value();
                      released.wait();
                    })
                    .ok());
    started.get_future().wait();
    ASSERT_TRUE(executor.Post([] {}).ok());
    ASSERT_TRUE(executor.Post([] {}).ok());
    const absl::Status full = executor.Post([] {});
    EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_NE(full.message().find("limit is 2"), absl::string_view::npos);
    release.set_value();
  }
}

class ComputeTeamTest : public testing::TestWithParam<int> {};
class TeamOfSeveralTest : public testing::TestWithParam<int> {};

TEST_P(ComputeTeamTest, CoversEveryIndexOnceWhateverTheGrain) {
  ThreadPool pool(GetParam());
  EXPECT_EQ(pool.threads(), GetParam());
  for (const int64_t count : {0, 1, 5, 16, 17, 1000}) {
    for (const int64_t grain : {1, 3, 16, 64}) {
      std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
      pool.ParallelFor(count, grain, [&](int64_t begin, int64_t end, int thread) {
        EXPECT_GE(thread, 0);
        EXPECT_LT(thread, pool.threads());
        EXPECT_EQ(begin % grain, 0);
        for (int64_t i = begin; i < end; ++i) seen[static_cast<size_t>(i)].fetch_add(1);
      });
      for (const auto& times : seen) ASSERT_EQ(times.load(), 1) << count << " " << grain;
    }
  }
}

TEST_P(ComputeTeamTest, ManyShortLoopsSeeEachOthersWrites) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> values(64, 0);
  for (int round = 0; round < 2000; ++round) {
    pool.ParallelFor(64, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) values[static_cast<size_t>(i)] += 1;
    });
  }
  EXPECT_EQ(std::accumulate(values.begin(), values.end(), int64_t{0}), 64 * 2000);
}

TEST_P(ComputeTeamTest, CallersFromSeveralThreadsTakeTurns) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) {
        pool.ParallelFor(10, 1, [&](int64_t begin, int64_t end, int) { sum.fetch_add(end - begin); });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum.load(), 4 * 200 * 10);
}

TEST_P(ComputeTeamTest, RangesAreWholeGrainsAndAFewPerThread) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> ranges{0};
  pool.ParallelFor(10'007, 16, [&](int64_t begin, int64_t end, int) {
    ranges.fetch_add(1);
    EXPECT_LT(begin, end);
    EXPECT_TRUE((end - begin) % 16 == 0 || end == 10'007) << begin << " " << end;
  });
  EXPECT_GE(ranges.load(), pool.threads());
  EXPECT_LE(ranges.load(), 8 * pool.threads());
}

TEST_P(TeamOfSeveralTest, AThreadThatStandsStillKeepsOneRangeFromTheOthers) {
  ThreadPool pool(GetParam());
  std::atomic<int64_t> seen{0};
  std::atomic<bool> still{false};
  pool.ParallelFor(1000, 1, [&](int64_t begin, int64_t end, int) {
    if (!still.exchange(true)) {
      // Ends only if the other threads do all the rest.
      while (seen.load() + (end - begin) < 1000) std::this_thread::yield();
    }
    seen.fetch_add(end - begin);
  });
  EXPECT_EQ(seen.load(), 1000);
}

TEST_P(TeamOfSeveralTest, NoTwoRangesRunAtOnceOnTheSameThread) {
  ThreadPool pool(GetParam());
  std::vector<int64_t> mine(static_cast<size_t>(pool.threads()), 0);  // not atomic: ThreadSanitizer sees a sharer
  std::latch all_here(3);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&] {
      all_here.arrive_and_wait();
      for (int round = 0; round < 200; ++round) {
        pool.ParallelFor(40, 2, [&](int64_t begin, int64_t end, int thread) {
          const int64_t before = mine[static_cast<size_t>(thread)];
          std::this_thread::yield();  // lets another caller in, if there is a way
          mine[static_cast<size_t>(thread)] = before + end - begin;
        });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(std::accumulate(mine.begin(), mine.end(), int64_t{0}), 3 * 200 * 40);
}

TEST_P(ComputeTeamTest, APoolThatNeverComputedGoesAtOnce) {
  for (int i = 0; i < 50; ++i) EXPECT_EQ(ThreadPool(GetParam()).threads(), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Threads, ComputeTeamTest, testing::Values(1, 2, 3));
INSTANTIATE_TEST_SUITE_P(Threads, TeamOfSeveralTest, testing::Values(2, 3));

}  // namespace
}  // namespace gwq
