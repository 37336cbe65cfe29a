#include "core/base/mutex.h"

#include <gtest/gtest.h>

#include <thread>

namespace gwq {
namespace {

// A place for one value, handed from thread to thread.
class Place {
 public:
  void Put(int value) {
    MutexLock lock(mutex_);
    while (full_) changed_.Wait(mutex_);
    value_ = value;
    full_ = true;
    changed_.NotifyAll();
  }
  int Take() {
    MutexLock lock(mutex_);
    while (!full_) changed_.Wait(mutex_);
    full_ = false;
    changed_.NotifyAll();
    return value_;
  }
  // -1 if nothing came before `until`.
  int TakeUntil(std::chrono::steady_clock::time_point until) {
    MutexLock lock(mutex_);
    while (!full_) {
      if (!changed_.WaitUntil(mutex_, until)) return -1;
    }
    full_ = false;
    return value_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool full_ ABSL_GUARDED_BY(mutex_) = false;
  int value_ ABSL_GUARDED_BY(mutex_) = 0;
};

TEST(Mutex, NoUpdateUnderItIsLost) {
  Mutex mutex;
  int64_t count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 2000; ++round) {
        MutexLock lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 4 * 2000);
}

TEST(CondVar, WakesTheOneThatWaitsAndHandsItTheMutex) {
  Place place;
  std::thread giver([&] {
    for (int value = 0; value < 1000; ++value) place.Put(value);
  });
  for (int value = 0; value < 1000; ++value) ASSERT_EQ(place.Take(), value);
  giver.join();
}

TEST(CondVar, AWaitEndsWhenItsTimeHasPassedAndStillHoldsTheMutex) {
  Place place;
  EXPECT_EQ(place.TakeUntil(std::chrono::steady_clock::now() - std::chrono::seconds(1)), -1);
  EXPECT_EQ(place.TakeUntil(std::chrono::steady_clock::now() + std::chrono::milliseconds(1)), -1);
  place.Put(7);
  EXPECT_EQ(place.TakeUntil(std::chrono::steady_clock::now()), 7) << "what is there is taken, late or not";
}

TEST(CondVar, AWaitWithTimeLeftEndsWithTheNews) {
  Place place;
  std::thread giver([&] { place.Put(9); });
  // The limit is for a test that hangs: the value comes at once.
  EXPECT_EQ(place.TakeUntil(std::chrono::steady_clock::now() + std::chrono::minutes(5)), 9);
  giver.join();
}

}  // namespace
}  // namespace gwq
