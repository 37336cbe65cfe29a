#include "core/base/clock.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace gwq {
namespace {

TEST(FakeClock, StandsStillUntilItIsAdvanced) {
  FakeClock clock;
  const int64_t monotonic = clock.MonotonicMillis(), wall = clock.WallMillis();
  EXPECT_EQ(clock.MonotonicMillis(), monotonic);
  clock.Advance(1500);
  EXPECT_EQ(clock.MonotonicMillis(), monotonic + 1500);
  EXPECT_EQ(clock.WallMillis(), wall + 1500);
}

TEST(FakeClock, AdvancesOfSeveralThreadsAddUpAndNoReaderSeesItGoBack) {
  const FakeClock fresh;
  FakeClock clock;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        const int64_t before = clock.MonotonicMillis();
        clock.Advance(1);
        EXPECT_GT(clock.MonotonicMillis(), before);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(clock.MonotonicMillis(), fresh.MonotonicMillis() + 4 * 500);
}

TEST(SystemClock, IsOneClockThatCountsFrom1970AndNeverGoesBack) {
  const Clock& clock = SystemClock();
  EXPECT_EQ(&clock, &SystemClock());
  int64_t last = clock.MonotonicMillis();
  for (int i = 0; i < 1000; ++i) {
    const int64_t now = clock.MonotonicMillis();
    ASSERT_GE(now, last);
    last = now;
  }
  // A clock in seconds or microseconds is off by a factor of a thousand; these are the years 2020 and 2200.
  EXPECT_GT(clock.WallMillis(), 1'577'836'800'000);
  EXPECT_LT(clock.WallMillis(), 7'258'118'400'000);
}

}  // namespace
}  // namespace gwq
