#include "core/engine/fifo_lock.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace gwq {
namespace {

TEST(FifoLock, OneAtATimeAndNobodyStarves) {
  FifoLock fifo_lock;
  std::atomic<int> inside = 0;
  std::atomic<bool> stop = false;
  std::atomic<int> greedy_turns = 0;
  // Two threads that ask again at once would keep a third out of an unfair lock.
  std::vector<std::thread> greedy;
  for (int i = 0; i < 2; ++i) {
    greedy.emplace_back([&] {
      while (!stop) {
        const FifoLock::Guard turn(fifo_lock);
        EXPECT_EQ(inside.fetch_add(1), 0);
        std::this_thread::yield();
        ++greedy_turns;
        inside.fetch_sub(1);
      }
    });
  }
  while (greedy_turns == 0) std::this_thread::yield();
  for (int i = 0; i < 200; ++i) {
    const FifoLock::Guard turn(fifo_lock);
    EXPECT_EQ(inside.fetch_add(1), 0);
    std::this_thread::yield();
    inside.fetch_sub(1);
  }
  stop = true;
  for (std::thread& thread : greedy) thread.join();
}

}  // namespace
}  // namespace gwq
